// Answers expressions line by line with GitHub's own evaluator (npm @actions/expressions), as `devdep-cli expr --jsonl` does with ours.
import fs from "node:fs";
import { Lexer, Parser, Evaluator, data } from "@actions/expressions";

const KINDS = ["String", "Array", "Object", "Boolean", "Number", "CaseSensitiveDictionary", "Null"];
const none = new data.Dictionary();
let last = { text: undefined, contexts: undefined, names: [] };

// Lines mostly carry the same contexts; reading them once per change is what ours does, too.
function read(line) {
  const at = line.indexOf(', "contexts": ');
  if (at < 0) return { expr: JSON.parse(line).expr, contexts: none, names: [] };
  const text = line.slice(at);
  if (text !== last.text) {
    const contexts = JSON.parse("{" + text.slice(1), data.reviver).get("contexts");
    last = { text, contexts, names: contexts.pairs().map((pair) => pair.key) };
  }
  return { expr: JSON.parse(line.slice(0, at) + "}").expr, contexts: last.contexts, names: last.names };
}

// A place is told as GitHub's service tells it; in a text of several lines the package counts from the start of the line, which is of no use.
function failure(kind, error, expr) {
  let message = String(error.message);
  if (error.pos && !expr.includes("\n")) message += `. Located at position ${error.pos.column + 1} within expression: ${expr}`;
  return { error: { kind, message } };
}

function answer({ expr, contexts, names }) {
  let tokens, tree;
  try {
    tokens = new Lexer(expr).lex().tokens;
  } catch (error) {
    return failure("lexing", error, expr);
  }
  try {
    tree = new Parser(tokens, names, []).parse();
  } catch (error) {
    return failure("parsing", error, expr);
  }
  try {
    const value = tree ? new Evaluator(tree, contexts).evaluate() : new data.Null();
    return `{"kind":"${KINDS[value.kind]}","value":${JSON.stringify(value, data.replacer)}}`;
  } catch (error) {
    return failure("evaluation", error, expr);
  }
}

function text(result) {
  return typeof result === "string" ? result : JSON.stringify(result);
}

const lines = fs.readFileSync(0, "utf8").split("\n");
if (lines.at(-1) === "") lines.pop();
const out = [];
for (const line of lines) out.push(text(answer(read(line))));
process.stdout.write(out.join("\n") + "\n");
