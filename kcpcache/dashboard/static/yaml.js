// Objects as YAML, for reading: keys in their order, and quotes only where YAML would mean something else.

const UNPRINTABLE = "\\x00-\\x09\\x0b-\\x1f\\x7f-\\x9f\\u2028\\u2029\\ufeff\\ufffe\\uffff";
const MARKS = `\\n:#"'{}[\\],&*!|>%@\`\\\\\\ud800-\\udfff${UNPRINTABLE}`;
const PLAIN = new RegExp(`^[A-Za-z0-9_/$.][^${MARKS}]*(?::[^\\s${MARKS}]+)*$`);
const NO_BLOCK = new RegExp(`[${UNPRINTABLE}]|\\s\\n|\\n$`);
const NUMBER =
  "[-+]?(?:\\.\\d[\\d_]*|\\d[\\d_]*(?:\\.[\\d_]*)?)(?:e[-+]?\\d+)?|0[xo][\\da-f_]+|0b[01_]+|\\d+(?::\\d+)+";
const MEANS_ELSE = new RegExp(
  `^(?:true|false|null|yes|no|on|off|y|n|~|\\.nan|[-+]?\\.inf|${NUMBER}|\\d{4}-\\d\\d?-\\d\\d?.*)$`,
  "i",
);
const LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration";

/** An object as YAML; what clients keep in it for their own use is left out unless `bookkeeping` is asked for. */
export function toYaml(object, { bookkeeping = false } = {}) {
  return `${block(bookkeeping || !object.metadata ? object : { ...object, metadata: essential(object.metadata) }, "").replace(/^\n/, "")}\n`;
}

function essential(metadata) {
  const shown = Object.entries(metadata).filter(([name]) => name !== "managedFields");
  const others = (annotations) =>
    Object.fromEntries(Object.entries(annotations).filter(([name]) => name !== LAST_APPLIED));
  return Object.fromEntries(shown.map(([name, value]) => [name, name === "annotations" ? others(value) : value]));
}

function block(value, indent) {
  if (Array.isArray(value)) {
    if (!value.length) return " []";
    return value.map((item) => `\n${indent}-${nested(item, `${indent}  `)}`).join("");
  }
  if (value !== null && typeof value === "object") {
    const entries = Object.entries(value);
    if (!entries.length) return " {}";
    return entries
      .map(
        ([key, item]) =>
          `\n${indent}${isPlain(key) ? key : quoted(key)}:${Array.isArray(item) ? block(item, indent) : block(item, `${indent}  `)}`,
      )
      .join("");
  }
  return ` ${scalar(value, indent)}`;
}

// The first key of a mapping in a list stands beside the dash.
function nested(item, indent) {
  const text = block(item, indent);
  return text.startsWith(`\n${indent}`) ? ` ${text.slice(indent.length + 1)}` : text;
}

function scalar(value, indent = "") {
  if (typeof value !== "string") return JSON.stringify(value);
  if (isPlain(value)) return value;
  if (/^[^\s].*\n/.test(value) && !NO_BLOCK.test(value)) {
    return `|-${value
      .split("\n")
      .map((line) => `\n${indent}${line}`)
      .join("")}`;
  }
  return quoted(value);
}

function isPlain(text) {
  return PLAIN.test(text) && !MEANS_ELSE.test(text) && text === text.trim();
}

function quoted(text) {
  return JSON.stringify(text).replace(
    new RegExp(`[${UNPRINTABLE}]`, "g"),
    (found) => `\\u${found.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
