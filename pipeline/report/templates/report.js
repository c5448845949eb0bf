'use strict';
// Sorts, filters and prints the page's tables and enlarges its pictures and charts. All that the page says stands in it without
// this script, so controls are made here and nowhere else. Texts go in as text: names come from other people's files.
(() => {
  const LONG = 8;  // rows
  const WIDE = 6;  // columns
  const MISSING = ['', '–'];
  const SECONDS = {h: 3600, min: 60, s: 1};
  const {compare} = new Intl.Collator('en', {numeric: true, sensitivity: 'base'});

  function element(name, attributes, ...children) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  }

  function button(attributes, text, press) {
    const made = element('button', {type: 'button', ...attributes}, text);
    made.addEventListener('click', press);
    return made;
  }

  // '1,797', '−0.4', '87.0 ± 1.2' and '6 min 12 s' by what they are worth; null for what is no number.
  function number(text) {
    const plain = text.replaceAll('−', '-').replaceAll(',', '');
    const times = [...plain.matchAll(/(\d+(?:\.\d+)?)\s(h|min|s)\b/g)];
    if (times.length) return times.reduce((sum, [, count, unit]) => sum + count * SECONDS[unit], 0);
    const found = plain.match(/[-+]?\d+(\.\d+)?(e[-+]?\d+)?/);
    return found && Number(found[0]);
  }

  function keyOf(row, column, isNumber) {
    const text = row.cells[column].textContent.trim();
    if (MISSING.includes(text)) return null;
    return isNumber ? number(text) : text;
  }

  // What is missing stands last, whichever way the rest is turned.
  function byKey([, one], [, other], turn) {
    if (one === null || other === null) return (one === null) - (other === null);
    return turn * (typeof one === 'number' ? one - other : compare(one, other));
  }

  // Rows below a heading stay below it.
  function groups(rows) {
    const found = [{heading: null, lines: []}];
    for (const row of rows) {
      if (row.classList.contains('group')) found.push({heading: row, lines: []});
      else found.at(-1).lines.push(row);
    }
    return found;
  }

  function sorted(rows, column, turn, isNumber) {
    return groups(rows).flatMap(({heading, lines}) => {
      const keyed = lines.map((row) => [row, keyOf(row, column, isNumber)]);
      keyed.sort((one, other) => byKey(one, other, turn));
      return [heading, ...keyed.map(([row]) => row)].filter(Boolean);
    });
  }

  function addSorting(table, heads, rows) {
    const press = (column) => {
      const head = heads[column];
      const next = {null: 'ascending', ascending: 'descending'}[head.getAttribute('aria-sort')];
      heads.forEach((other) => other.removeAttribute('aria-sort'));
      if (next) head.setAttribute('aria-sort', next);
      table.classList.toggle('sorted', Boolean(next));
      const turn = next === 'descending' ? -1 : 1;
      table.tBodies[0].append(...(next ? sorted(rows, column, turn, head.classList.contains('n')) : rows));
    };
    heads.forEach((head, column) => {
      if (head.textContent) head.replaceChildren(button({class: 'sort'}, head.textContent, () => press(column)));
    });
  }

  // 'car red, bus' is what has both car and red, and what has bus.
  function matcher(wish) {
    const choices = wish.toLowerCase().split(',').map((choice) => choice.split(/\s+/).filter(Boolean));
    const asked = choices.filter((words) => words.length);
    return (text) => !asked.length || asked.some((words) => words.every((word) => text.includes(word)));
  }

  // Numbers are sorted and not looked for: '3' is the class of that name.
  function names(row) {
    const words = [...row.cells].filter((cell) => !cell.classList.contains('n')).map((cell) => cell.textContent);
    return words.join(' ').toLowerCase();
  }

  function addFilter(tools, label, rows) {
    const listed = groups(rows).map(({heading, lines}) => {
      const above = heading ? names(heading) : '';
      return {heading, lines: lines.map((row) => ({row, text: `${above} ${names(row)}`}))};
    });
    const all = listed.flatMap(({lines}) => lines).length;
    const said = element('output', {});
    const input = element('input', {type: 'search', placeholder: 'one, or another', 'aria-label': `Filter: ${label}`});
    input.addEventListener('input', () => {
      const matches = matcher(input.value);
      for (const {heading, lines} of listed) {
        for (const {row, text} of lines) row.hidden = !matches(text);
        if (heading) heading.hidden = lines.every(({row}) => row.hidden);
      }
      const left = listed.flatMap(({lines}) => lines).filter(({row}) => !row.hidden).length;
      said.textContent = left < all ? `${left} of ${all} rows` : '';
    });
    tools.append(element('label', {}, 'Filter ', input), said);
  }

  function addColumns(tools, label, heads, rows) {
    const set = element('fieldset', {'aria-label': `Columns: ${label}`});
    heads.forEach((head, column) => {
      if (!column) return;
      const box = element('input', {type: 'checkbox', checked: ''});
      box.addEventListener('change', () => {
        for (const {cells} of [{cells: heads}, ...rows]) if (cells[column]) cells[column].hidden = !box.checked;
      });
      set.append(element('label', {}, box, ` ${head.textContent}`));
    });
    tools.append(element('details', {}, element('summary', {}, 'Columns'), set));
  }

  function equip(table) {
    const heads = [...table.tHead.rows[0].cells];
    const rows = [...table.tBodies[0].rows];
    const place = table.closest('.scroll');
    const label = place.getAttribute('aria-label');
    const tools = element('div', {class: 'tools'});
    if (rows.length > LONG) addFilter(tools, label, rows);
    if (heads.length > WIDE) addColumns(tools, label, heads, rows);
    if (rows.length > 1) addSorting(table, heads, rows);
    if (tools.children.length) place.before(tools);
  }

  // Beside its original: a photo is drawn by what that one holds, and the names in a chart's copy get an x.
  function copyOf(picture) {
    const copy = picture.cloneNode(true);
    copy.querySelectorAll('symbol').forEach((symbol) => symbol.remove());
    if (picture.matches('.photo')) return copy;
    for (const part of copy.querySelectorAll('[id], [href], [clip-path]')) {
      for (const name of ['id', 'href', 'clip-path']) {
        const value = part.getAttribute(name);
        if (value) part.setAttribute(name, name === 'id' ? `x${value}` : value.replace('#', '#x'));
      }
    }
    const {width, height} = copy.querySelector('svg').viewBox.baseVal;
    copy.style.setProperty('--ratio', width / height);
    return copy;
  }

  // Photos and charts are a series each.
  function addViewer(series) {
    const stage = element('figure', {'aria-live': 'polite'});
    const place = element('span', {});
    let openers, shown;
    const step = (by) => show((shown + by + openers.length) % openers.length);
    const control = (label, text, press) => button({'aria-label': label}, text, press);
    const bar = element(
      'div', {class: 'bar'},
      control('Previous picture', '←', () => step(-1)), place, control('Next picture', '→', () => step(1)),
      control('Close', '×', () => dialog.close()),
    );
    const dialog = element('dialog', {class: 'viewer', 'aria-label': 'Enlarged picture'}, bar, stage);

    function show(index) {
      shown = index;
      const caption = openers[index].closest('figure').querySelector('figcaption');
      stage.replaceChildren(copyOf(openers[index].firstElementChild), caption.cloneNode(true));
      stage.scroll(0, 0);
      place.textContent = `${index + 1} of ${openers.length}`;
    }

    function addOpener(figure, index, others) {
      const pictures = figure.querySelectorAll('.photo, .chart');  // a chart is there for narrow screens too
      const label = `Enlarge ${pictures[0].getAttribute('aria-label')}`;
      const opener = button({class: 'enlarge', 'aria-label': label}, '', () => {
        openers = others;
        show(index);
        dialog.showModal();
      });
      figure.removeAttribute('tabindex');
      pictures[0].replaceWith(opener);
      opener.append(...pictures);
      return opener;
    }

    for (const figures of series) {
      const made = [];
      figures.forEach((figure, index) => made.push(addOpener(figure, index, made)));
    }
    dialog.addEventListener('keydown', (event) => {
      const by = event.target !== stage && {ArrowLeft: -1, ArrowRight: 1}[event.key];
      if (by) step(by);
      if (by) event.preventDefault();
    });
    dialog.addEventListener('click', (event) => event.target === dialog && dialog.close());
    dialog.addEventListener('close', () => openers[shown].focus());
    document.body.append(dialog);
  }

  // Browsers that know no ::details-content print a closed fold closed.
  function openForPrint() {
    let opened = [];
    addEventListener('beforeprint', () => {
      opened = [...document.querySelectorAll('.fold:not([open])')];
      opened.forEach((fold) => { fold.open = true; });
    });
    addEventListener('afterprint', () => opened.forEach((fold) => { fold.open = false; }));
  }

  document.querySelectorAll('.scroll > table:not(.fixed)').forEach(equip);
  addViewer(['.images figure', 'figure:has(> .chart)'].map((found) => document.querySelectorAll(found)));
  openForPrint();
})();
