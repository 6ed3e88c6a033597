/** Languages by their English names. */

const names = new Intl.DisplayNames(["en"], { type: "language", fallback: "none" });
const others = { ba: "Bashkir", bo: "Tibetan" }; // that Chromium has no names for

export function languageName(code) {
  return names.of(code) ?? others[code] ?? code;
}

/** Offers what the engine can hear, keeping the choice that was made. */
export function offerLanguages(select, { languages, detects_language: detects }) {
  const chosen = select.value;
  const options = languages.map((code) => new Option(languageName(code), code));
  options.sort((a, b) => a.text.localeCompare(b.text));
  if (detects) options.unshift(new Option("Detect", ""));
  select.replaceChildren(...options);
  const wanted = [chosen, detects ? "" : navigator.language.slice(0, 2)];
  select.value = wanted.find((code) => languages.includes(code)) ?? options[0].value;
}
