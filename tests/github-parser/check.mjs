// Parses workflow files (with -a: action files, as the runner reads them) with GitHub's own parser (npm @actions/workflow-parser); the
// counterpart of check.c. Every feature is on. With -c the files that they call are looked for in the current folder.
import fs from "node:fs";
import { NoOperationTraceWriter, parseWorkflow, convertWorkflowTemplate } from "@actions/workflow-parser";
import { getActionSchema } from "@actions/workflow-parser/actions/action-schema";
import { readTemplate } from "@actions/workflow-parser/templates/template-reader";
import { YamlObjectReader } from "@actions/workflow-parser/workflows/yaml-object-reader";

const flags = { isEnabled: () => true, getEnabledFeatures: () => [] };
const probe = parseWorkflow({ name: "probe.yml", content: "on: push" }, new NoOperationTraceWriter()).context;

const files = { getFileContent: async (ref) => ({ name: ref.path, content: fs.readFileSync(ref.path, "utf8") }) };

function newContext(schema) {
  const context = new probe.constructor(new probe.errors.constructor(), schema, new NoOperationTraceWriter());
  context.state.featureFlags = flags;
  return context;
}

async function checkWorkflow(name, content) {
  const result = parseWorkflow({ name, content }, newContext(probe.schema));
  const depth = calls ? 1 : 0;
  if (result.value)
    await convertWorkflowTemplate(result.context, result.value, calls ? files : undefined, { featureFlags: flags, errorPolicy: 1, fetchReusableWorkflowDepth: depth });
  return result.context;
}

// The package's own parseAction() starts at the stricter root of editors.
function checkAction(name, content) {
  const context = newContext(getActionSchema());
  const id = context.getFileId(name);
  const reader = new YamlObjectReader(id, content);
  for (const error of reader.errors) context.error(id, error.message, error.range);
  if (!reader.errors.length) readTemplate(context, "action-root", reader, id);
  return context;
}

const actions = process.argv[2] === "-a", calls = process.argv[2] === "-c";
for (const path of process.argv.slice(actions || calls ? 3 : 2)) {
  const content = fs.readFileSync(path, "utf8");
  const context = await (actions ? checkAction : checkWorkflow)(path, content);
  const errors = context.errors.getErrors();
  for (const error of errors) {
    const start = error.range?.start;
    console.log(`${path}:${start?.line ?? 0}:${start?.column ?? 0}: ${error.rawMessage}`);
  }
  if (!errors.length) console.log(`${path}: ok`);
}
