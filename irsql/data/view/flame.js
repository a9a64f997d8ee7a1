// Where the time of a step goes: boxes of modules over their statements over the engine's operators.

const FRAME = { DEPTH: 0, BEGIN: 1, WIDTH: 2, KIND: 3, LABEL: 4, MORE: 5, STATEMENT: 6 };
const HEIGHT = 21, NARROWEST = 0.0008;

class Flame {
  /** @param {object} on what to call: statement(number), close() */
  constructor(on) {
    this.root = document.getElementById("flame");
    this.on = on;
    const head = this.root.appendChild(element("header"));
    this.title = head.appendChild(element("h2"));
    this.summary = head.appendChild(element("span", "after"));
    const close = head.appendChild(element("button", "close", "Close"));
    close.type = "button";
    close.addEventListener("click", () => on.close());
    this.host = this.root.appendChild(element("div", "boxes"));
    this.line = this.root.appendChild(element("p", "told"));
  }

  async show() {
    this.root.hidden = false;
    if (this.boxes) return;
    const data = await block("profile");
    this.data = data;
    this.boxes = data.boxes;
    this.title.textContent = `${data.function} at ${count(data.context, "token")}`;
    this.summary.textContent = `${data.engine}: ${milliseconds(1000 * data.seconds)}, ` +
      `under the profiler ${milliseconds(1000 * data.profiled_seconds)}`;
    this.zoom(0);
  }

  hide() {
    this.root.hidden = true;
  }

  /** Let a box fill the width; those above it show where it lies. */
  zoom(number) {
    const whole = this.boxes[number];
    const begin = whole[FRAME.BEGIN], width = whole[FRAME.WIDTH] || 1e-9;
    const made = [];
    let deepest = 0;
    this.boxes.forEach((box, i) => {
      const left = (box[FRAME.BEGIN] - begin) / width, share = box[FRAME.WIDTH] / width;
      const above = box[FRAME.DEPTH] < whole[FRAME.DEPTH];
      const inside = left > -1e-9 && left + share < 1 + 1e-9 && !above;
      const around = above && left < 1e-9 && left + share > 1 - 1e-9;
      if ((!inside && !around) || (inside && share < NARROWEST)) return;
      deepest = Math.max(deepest, box[FRAME.DEPTH]);
      made.push(this.box(box, i, around ? 0 : left, around ? 1 : share, around));
    });
    this.host.replaceChildren(...made);
    this.host.style.height = `${(deepest + 1) * HEIGHT}px`;
    this.tell(whole);
  }

  box(box, number, left, share, around) {
    const made = element("button", `box of-${box[FRAME.KIND]}${around ? " around" : ""}`, box[FRAME.LABEL]);
    made.type = "button";
    made.style.left = `${100 * left}%`;
    made.style.width = `${100 * share}%`;
    made.style.top = `${box[FRAME.DEPTH] * HEIGHT}px`;
    made.dataset.n = number;
    made.title = this.text(box);
    made.addEventListener("mouseenter", () => this.tell(box));
    made.addEventListener("focus", () => this.tell(box));
    made.addEventListener("click", () => {
      this.zoom(number);
      this.host.querySelector(`[data-n="${number}"]`).focus({ preventScroll: true });
      if (box[FRAME.STATEMENT] >= 0) this.on.statement(this.data.statements[box[FRAME.STATEMENT]]);
    });
    return made;
  }

  tell(box) {
    this.line.textContent = this.text(box);
  }

  text(box) {
    const share = (100 * box[FRAME.WIDTH]) / this.boxes[0][FRAME.WIDTH];
    const facts = [box[FRAME.LABEL], milliseconds(1000 * box[FRAME.WIDTH]), `${share.toFixed(1)} %`, box[FRAME.MORE]];
    return facts.filter(Boolean).join("  ·  ");
  }
}
