/** A statement cut at its parameters: `texts` has one piece more than `parameters`, each of which is the number of its `$n`. */
export interface CutStatement {
  readonly texts: readonly string[];
  readonly parameters: readonly number[];
}

/**
 * What a `$n` must not be looked for in: string literals (`'…'`, with backslashes `e'…'`), quoted names, comments (nested ones too, below)
 * and dollar quotes; and words that contain a dollar sign. Source: PostgreSQL's manual, "Lexical Structure".
 */
const pieces =
  /\b[eE]'(?:[^'\\]|\\[\s\S]|'')*'|'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|\/\*|\$(\d+)|\$([\p{L}_][\p{L}\p{N}_]*)?\$|[\p{L}_][\p{L}\p{N}_$]*/gu;

/** Finds the parameters (`$1`, `$2`, …) of a Postgres statement. Pure. */
export function cutStatement(text: string): CutStatement {
  const texts: string[] = [];
  const parameters: number[] = [];
  let from = 0;
  let match: RegExpExecArray | null;
  pieces.lastIndex = 0;
  while ((match = pieces.exec(text)) !== null) {
    const [piece, number] = match;
    if (number !== undefined) {
      texts.push(text.slice(from, match.index));
      parameters.push(Number(number));
      from = pieces.lastIndex;
    } else if (piece === "/*") {
      pieces.lastIndex = endOfComment(text, match.index);
    } else if (piece.startsWith("$")) {
      const end = text.indexOf(piece, pieces.lastIndex);
      pieces.lastIndex = end === -1 ? text.length : end + piece.length;
    }
  }
  texts.push(text.slice(from));
  return { texts, parameters };
}

function endOfComment(text: string, start: number): number {
  let depth = 0;
  for (let at = start; at < text.length; at += 1) {
    const two = text.slice(at, at + 2);
    if (two === "/*") depth += 1;
    else if (two === "*/") depth -= 1;
    else continue;
    at += 1;
    if (depth === 0) return at + 1;
  }
  return text.length;
}
