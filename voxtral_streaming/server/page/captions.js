/** Cuts segments into captions as viewers are used to them: two short lines, not too long on the screen. */

const MAX_COLUMNS = 42; // of a line
const MAX_SECONDS = 7;
const WIDE = /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}]/u; // as wide as two letters
const ENDS_SENTENCE = /[.?!。][\p{Pe}\p{Pf}"']*\s*$/u;

/** Captions `{start, end, text}` with line breaks in `text`; a segment without the times of its words is one caption. */
export function captions(segments) {
  return segments.flatMap((segment) => {
    const groups = [];
    for (const word of spell(segment)) {
      const group = groups.at(-1);
      if (group && fits(group, word)) group.push(word);
      else groups.push([word]);
    }
    return groups.map((words) => ({ start: words[0].start, end: words.at(-1).end, text: lines(words).join("\n") }));
  });
}

/** The segment's words as its text spells them, with the spaces behind them. */
function spell({ start, end, text, words = [] }) {
  const edges = [0];
  for (const word of words.slice(1)) edges.push(text.indexOf(word.text, edges.at(-1) + 1));
  if (!words.length || edges.includes(-1)) return [{ text, start, end }];
  return words.map((word, i) => ({ ...word, text: text.slice(edges[i], edges[i + 1]) }));
}

function fits(group, word) {
  if (ENDS_SENTENCE.test(group.at(-1).text) || word.end - group[0].start > MAX_SECONDS) return false;
  return lines([...group, word]).every((line) => columns(line) <= MAX_COLUMNS);
}

/** One line if it is short enough, else two that are as even as can be. */
function lines(words) {
  const cuts = words.map((_, i) =>
    [words.slice(0, i), words.slice(i)].map((part) =>
      part
        .map(({ text }) => text)
        .join("")
        .trim(),
    ),
  );
  const widths = cuts.map((cut) => Math.max(...cut.map(columns)));
  const best = widths[0] <= MAX_COLUMNS ? 0 : widths.indexOf(Math.min(...widths));
  return cuts[best].filter(Boolean);
}

function columns(text) {
  return [...text].reduce((sum, character) => sum + (WIDE.test(character) ? 2 : 1), 0);
}
