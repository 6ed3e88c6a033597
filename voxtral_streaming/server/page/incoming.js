/** Recordings that are dropped on the page or pasted into it, and addresses of recordings. */

/** `veil` is shown over the page while something is dragged across it. */
export function receive(veil, { onFiles, onAddress }) {
  const take = (data) => {
    const text = data.getData("text/plain").trim();
    if (data.files.length) onFiles([...data.files]);
    else if (/^https?:\/\/\S+$/.test(text)) onAddress(text);
  };
  addEventListener("dragover", (event) => {
    event.preventDefault();
    veil.hidden = false;
  });
  addEventListener("dragleave", ({ relatedTarget }) => {
    if (!relatedTarget) veil.hidden = true; // it left the window
  });
  addEventListener("drop", (event) => {
    event.preventDefault();
    veil.hidden = true;
    take(event.dataTransfer);
  });
  addEventListener("paste", ({ target, clipboardData }) => {
    if (!(target instanceof HTMLInputElement)) take(clipboardData);
  });
}
