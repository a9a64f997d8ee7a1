// Search in the shown function: op names, values, modules, and the text of statements.

class Search {
  /** @param {object} on what to call: found(hits by column), go(column, row) */
  constructor(on) {
    this.on = on;
    this.input = document.querySelector("#search input");
    this.output = document.querySelector("#search output");
    this.hits = [];
    this.position = -1;
    this.input.addEventListener("input", () => this.run());
    this.input.addEventListener("keydown", (event) => {
      if (event.key === "Enter") {
        this.step(event.shiftKey ? -1 : 1);
        event.preventDefault();
      } else if (event.key === "Escape") {
        if (this.input.value) this.clear();
        else this.input.blur();
        event.stopPropagation();
      }
    });
  }

  /** Search in other rows from now on. */
  use(data) {
    this.texts = data.columns.map((rows) => rows.map((row, i) => {
      const sql = row[PART] === "op" ? "" : data.sql[i];
      const path = [data.paths[row[LAYER]], data.paths[row[MODULE]]].filter(Boolean).join(".");
      return [row[NAME], row[RESULT], row[DETAIL], path, sql].join("\n").toLowerCase();
    }));
    this.run();
  }

  run() {
    const wanted = this.input.value.trim().toLowerCase();
    const found = this.texts.map((texts) => {
      const hits = [];
      if (wanted) texts.forEach((text, i) => text.includes(wanted) && hits.push(i));
      return hits;
    });
    this.hits = found.flatMap((rows, column) => rows.map((row) => [column, row]));
    this.position = -1;
    this.output.textContent = wanted ? String(this.hits.length) : "";
    this.input.classList.toggle("none", Boolean(wanted) && !this.hits.length);
    this.on.found(found);
  }

  step(by) {
    if (!this.hits.length) return;
    const start = this.position < 0 && by < 0 ? 0 : this.position;
    this.position = (start + by + this.hits.length) % this.hits.length;
    this.output.textContent = `${this.position + 1}/${this.hits.length}`;
    this.on.go(...this.hits[this.position]);
  }

  clear() {
    this.input.value = "";
    this.run();
  }
}
