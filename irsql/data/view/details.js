// The drawer under the stages: all of the chosen op, or of a line that does not fit.

const LINKS = 40;

class Details {
  /** @param {object} on what to call: choose(column, row), close() */
  constructor(head, on) {
    this.head = head;
    this.on = on;
    this.root = document.getElementById("details");
    this.title = element("h2");
    this.close = element("button", "close", "Close");
    this.close.type = "button";
    this.close.addEventListener("click", () => on.close());
    const header = this.root.appendChild(element("header"));
    header.append(this.title, this.close);
    this.facts = this.root.appendChild(element("div", "facts"));
    this.text = this.root.appendChild(element("pre"));
    this.text.tabIndex = 0;
  }

  hide() {
    this.root.hidden = true;
    this.shown = null;
  }

  /** Show a text and nothing else. */
  plain(title, text) {
    this.title.textContent = title;
    this.facts.replaceChildren();
    this.text.textContent = text;
    this.root.hidden = false;
    this.shown = null;
  }

  /** Show a row of a function with its relations. */
  async show(data, functionNumber, column, number) {
    const row = data.columns[column][number];
    const wanted = (this.shown = `${functionNumber} ${column} ${number}`);
    this.root.hidden = false;
    this.title.textContent = [row[NAME], row[RESULT]].filter(Boolean).join(" ");
    this.facts.replaceChildren(this.origin(data, column, row), this.links(data, row, column, number),
      ...row[REMARKS].map(([n, k]) => remarkBox(this.head.passes[n].remarks[k], this.head.passes[n].spec)));
    this.text.replaceChildren();
    if (row[PART] === "op") {
      const texts = await block(`text-${functionNumber}-${column}`);
      if (this.shown === wanted) this.text.textContent = texts[number];
    } else {
      this.statement(data, column, number);
    }
    if (this.shown === wanted) this.text.scrollTop = 0;
  }

  /** A statement with the chosen piece marked. */
  statement(data, column, number) {
    const rows = data.columns[column];
    const whole = rows[number][PART] === "statement";
    let first = number;
    while (rows[first][PART] !== "statement") first--;
    let last = first + 1;
    while (last < rows.length && rows[last][PART] !== "statement") last++;
    let chosen = null;
    for (let i = first; i < last; i++) {
      const before = rows[i][PART] !== "cte" ? "" : rows[i - 1][PART] === "statement" ? "\nWITH " : ",\n";
      const piece = element(i === number && !whole ? "mark" : "span", "", data.sql[i]);
      this.text.append(document.createTextNode(rows[i][PART] === "query" ? "\n" : before), piece);
      if (i === number) chosen = piece;
    }
    if (chosen && !whole) requestAnimationFrame(() => chosen.scrollIntoView({ block: "nearest" }));
  }

  origin(data, column, row) {
    const line = element("p", "origin");
    const [scope, node, file] = row[PLACE] >= 0 ? data.places[row[PLACE]] : ["", "", ""];
    const facts = row[PLACE] >= 0 ? [["module", scope], ["node", node], ["source", file]]
      : [["location", "none: where it comes from is unknown"]];
    const title = this.head.columns[column];
    facts.push(title.file ? ["dump", `${title.file}:${row[LINE]}`] : ["statement", String(row[LINE])]);
    for (const [name, value] of facts) {
      if (value) line.append(element("span", "label", name), element("span", "", value));
    }
    return line;
  }

  links(data, row, ownColumn, ownNumber) {
    const box = element("div", "links");
    const [direct, inferred] = data.relations[row[RELATION]];
    this.head.columns.forEach((title, column) => {
      const numbers = [...direct[column].map((i) => [i, ""]), ...inferred[column].map((i) => [i, " inferred"])]
        .filter(([i]) => column !== ownColumn || i !== ownNumber);
      if (!numbers.length) return;
      const line = box.appendChild(element("p"));
      line.append(element("span", "label", title.name));
      for (const [i, kind] of numbers.slice(0, LINKS)) {
        const other = data.columns[column][i];
        const name = other[PART] === "op" ? other[NAME].replace(/^[^.]*\./, "") : other[NAME];
        const link = element("button", `link${kind}`, [name, other[RESULT]].filter(Boolean).join(" "));
        link.type = "button";
        link.addEventListener("click", () => this.on.choose(column, i));
        line.append(link);
      }
      if (numbers.length > LINKS) line.append(document.createTextNode(`and ${numbers.length - LINKS} more`));
    });
    return box;
  }
}
