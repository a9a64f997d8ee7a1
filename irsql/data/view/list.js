// A list of lines of equal height that has elements only for the lines on screen.

const OVERSCAN = 6;

class LineList {
  /**
   * @param {HTMLElement} host scrolls; the caller gives it a height
   * @param {(line: HTMLElement, index: number) => void} draw fills an emptied element
   */
  constructor(host, draw) {
    this.host = host;
    this.draw = draw;
    this.length = 0;
    this.space = element("div", "space");
    this.lines = new Map();
    this.free = [];
    host.append(this.space);
    host.addEventListener("scroll", () => this.show(), { passive: true });
    new ResizeObserver(() => this.show()).observe(host);
  }

  /** Height of a line, as the style sheet has it. */
  get height() {
    this.known ||= parseFloat(getComputedStyle(this.host).getPropertyValue("--line")) || 20;
    return this.known;
  }

  /** Start over with so many lines. */
  reset(length) {
    this.length = length;
    this.space.style.height = `${length * this.height}px`;
    for (const line of this.lines.values()) this.release(line);
    this.lines.clear();
    this.show();
  }

  release(line) {
    line.remove();
    this.free.push(line);
  }

  /** Make the elements fit what is on screen. */
  show() {
    const from = Math.max(0, Math.floor(this.host.scrollTop / this.height) - OVERSCAN);
    const to = Math.min(this.length, Math.ceil((this.host.scrollTop + this.host.clientHeight) / this.height) + OVERSCAN);
    for (const [index, line] of this.lines) {
      if (index < from || index >= to) {
        this.release(line);
        this.lines.delete(index);
      }
    }
    for (let index = from; index < to; index++) {
      if (this.lines.has(index)) continue;
      const line = this.free.pop() || element("div");
      line.replaceChildren();
      line.removeAttribute("title");
      line.className = "line";
      line.dataset.index = index;
      line.style.transform = `translateY(${index * this.height}px)`;
      this.draw(line, index);
      this.lines.set(index, line);
      this.space.append(line);
    }
  }

  /** Call for every element on screen. */
  each(visit) {
    for (const [index, line] of this.lines) visit(line, index);
  }

  /** Bring a line on screen, into the upper third if it was not. */
  reveal(index) {
    const top = index * this.height;
    const { scrollTop, clientHeight } = this.host;
    if (top < scrollTop || top + this.height > scrollTop + clientHeight) {
      this.host.scrollTop = Math.max(0, top - clientHeight / 3);
      this.show();
    }
  }

  /** Which line an event happened on; -1 for none. */
  at(event) {
    const line = event.target.closest?.(".line");
    return line && this.space.contains(line) ? Number(line.dataset.index) : -1;
  }
}
