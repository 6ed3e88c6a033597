/** A small moving spectrogram of what is heard: newest at the right, low tones at the bottom. */

const LOWEST_HZ = 80;
const HIGHEST_HZ = 7000;
const N_BANDS = 36;
const STEP_MS = 20;
const STEP_PX = 2;
const QUIET = 0.3; // of the analyser's range, which is -100 to -30 dBFS: what is below is not drawn

export class Meter {
  #canvas;
  #frame = 0;

  constructor(canvas) {
    this.#canvas = canvas;
  }

  /** Draws until `stop`. Where less motion is wished for, only the present moment stands there. */
  start(analyser) {
    const context = fit(this.#canvas);
    const draw = matchMedia("(prefers-reduced-motion: reduce)").matches ? drawStill : drawMoving;
    const column = columns(analyser);
    let drawn = 0;
    const tick = (now) => {
      this.#frame = requestAnimationFrame(tick);
      if (now - drawn < STEP_MS) return;
      drawn = now;
      draw(context, column());
    };
    tick(performance.now());
  }

  stop() {
    cancelAnimationFrame(this.#frame);
  }
}

/** A function that reads the loudness [N_BANDS], 0 to 1, of bands of equal musical width. */
function columns(analyser) {
  const bins = new Uint8Array(analyser.frequencyBinCount);
  const hz = analyser.context.sampleRate / analyser.fftSize;
  const edge = (band) => Math.round((LOWEST_HZ * (HIGHEST_HZ / LOWEST_HZ) ** (band / N_BANDS)) / hz);
  return () => {
    analyser.getByteFrequencyData(bins);
    return Array.from({ length: N_BANDS }, (_, band) => {
      const loudest = Math.max(...bins.subarray(edge(band), Math.max(edge(band) + 1, edge(band + 1))));
      return Math.max(0, (loudest / 255 - QUIET) / (1 - QUIET));
    });
  };
}

function fit(canvas) {
  canvas.width = canvas.clientWidth * devicePixelRatio;
  canvas.height = canvas.clientHeight * devicePixelRatio;
  const context = canvas.getContext("2d");
  context.fillStyle = getComputedStyle(canvas).color;
  return context;
}

function drawMoving(context, column) {
  const { canvas } = context;
  const step = STEP_PX * Math.round(devicePixelRatio);
  context.globalAlpha = 1;
  context.globalCompositeOperation = "copy";
  context.drawImage(canvas, -step, 0);
  context.globalCompositeOperation = "source-over";
  drawColumn(context, column, canvas.width - step, step);
}

function drawStill(context, column) {
  context.clearRect(0, 0, context.canvas.width, context.canvas.height);
  drawColumn(context, column, 0, context.canvas.width);
}

function drawColumn(context, column, x, width) {
  const height = context.canvas.height / N_BANDS;
  column.forEach((loudness, band) => {
    context.globalAlpha = loudness;
    context.fillRect(x, context.canvas.height - (band + 1) * height, width, height);
  });
}
