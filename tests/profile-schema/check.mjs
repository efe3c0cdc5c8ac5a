// Validates YAML files against a JSON Schema (2020-12) with npm ajv: `node check.mjs SCHEMA FILE...`. One line per file, "FILE: ok" or
// "FILE: PATH MESSAGE". A schema that is none itself ends the program.
import fs from "node:fs";
import Ajv2020 from "ajv/dist/2020.js";
import YAML from "yaml";

const [schema, ...files] = process.argv.slice(2);
const ajv = new Ajv2020({ strict: true, allErrors: false, allowUnionTypes: true });
const validate = ajv.compile(JSON.parse(fs.readFileSync(schema, "utf8")));

for (const path of files) {
  const document = YAML.parseDocument(fs.readFileSync(path, "utf8"), { version: "1.2", uniqueKeys: true });
  if (document.errors.length) console.log(`${path}: ${document.errors[0].message.split("\n")[0]}`);
  else if (validate(document.toJS())) console.log(`${path}: ok`);
  else console.log(`${path}: ${validate.errors[0].instancePath} ${validate.errors[0].message}`);
}
