// Writes the schemas of Terraform's providers, for main.go. Reads them from npm packages of CDK for
// Terraform (see package.json). They contain TypeScript that was generated from the schemas. Writes
// only the types that infra/ uses, in the format of `terraform providers schema -json`.
//
// Usage: node schemas.mjs INFRA MIRROR PLATFORM. Writes each schema into the folder of MIRROR where
// Terraform looks for the provider, and prints this folder.
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";

const scalars = { string: "string", number: "number", boolean: "bool" };

// The packages do not say which attributes are sensitive. These are the ones that infra/ uses.
const sensitive = ["aws_ssm_parameter.value", "random_bytes.base64", "random_bytes.hex"];

// The schema of the provider, or of one of its types. The folder contains its module.
function read(folder) {
  // The JavaScript lacks some comments, but its source map contains the TypeScript.
  const map = readFileSync(`${folder}/index.js`, "utf8").split("base64,").at(-1);
  const text = JSON.parse(Buffer.from(map, "base64")).sourcesContent[0];
  const find = (start) => {
    const found = text.match(new RegExp(`^export (${start})[^]*?\n}\n`, "gm"));
    if (!found) throw new Error(`${folder} lacks ${start}`);
    return found.join("");
  };
  const inner = (name) => {
    const table = `function ${name[0].toLowerCase()}${name.slice(1)}ToHclTerraform\\(`;
    return block(find(`${table}|class ${name}OutputReference `), inner);
  };
  return { text, block: block(find("class \\w+ extends \\w+\\.Terraform"), inner) };
}

// The schema of a block. `text` is the part of the module about this block. The function `inner`
// returns the schema of another block of the module.
function block(text, inner) {
  // A table has the types of everything that can be configured.
  const types = {};
  const row = /(\w+): {\s+value: .*\s+isBlock: .*\s+type: "(.*)",\s+storageClassType: "(.*)"/g;
  for (const [, name, kind, of] of text.matchAll(row)) {
    types[name] = { kind, of: kind === "struct" ? of : of.replace(/(List|Map)$/, "") };
  }
  // Each attribute and each inner block has a comment, and its code follows. Only inner blocks of a
  // provider's own configuration have neither. All that they contain is optional.
  const members = {};
  for (const name in types) members[name] = { optional: true, code: "" };
  const comment = /\/\/ (\w+) - computed: (\w+), optional: (\w+), required: (\w+)\n/;
  const parts = text.split(comment).slice(1);
  while (parts.length) {
    const [name, computed, optional, required, code] = parts.splice(0, 5);
    const [c, o, r] = [computed, optional, required].map((flag) => flag === "true");
    members[name] = { computed: c, optional: o, required: r, code };
  }
  // Every provider has `alias`, but it is part of Terraform's language.
  delete members.alias;

  const schema = { attributes: {}, block_types: {} };
  for (const [name, { code, ...flags }] of Object.entries(members)) {
    const { kind, of } = types[name] ?? computedType(name, code);
    if (of in scalars) {
      const type = kind === "simple" ? scalars[of] : [kind, scalars[of]];
      schema.attributes[name] = { type, ...flags };
    } else if (of === "any") {
      // A block that can contain itself, such as `statement` of a firewall. The package does not
      // say what is in it. Terraform reports an error if infra/ uses it.
    } else if (flags.computed) {
      // A block cannot be computed, so this is an attribute whose values are objects.
      const types = Object.entries(inner(of).attributes).map(([key, { type }]) => [key, type]);
      const object = ["object", Object.fromEntries(types)];
      schema.attributes[name] = { type: kind === "struct" ? object : [kind, object], ...flags };
    } else if (kind === "struct") {
      schema.block_types[name] = { nesting_mode: "single", block: inner(of) };
    } else {
      // The code has no list if there can be only one such block. A maximum of 0 means no limit.
      const max_items = code.includes("OutputReference(this") ? 1 : 0;
      const min_items = flags.required ? 1 : 0;
      schema.block_types[name] = { nesting_mode: kind, block: inner(of), min_items, max_items };
    }
  }
  return schema;
}

// The type of an attribute that can only be computed. The table lacks it, but the code shows it.
function computedType(name, code) {
  const objects = code.match(/= new (\w+)List\(this, "\w+", (true|false)\)/);
  if (objects) return { kind: objects[2] === "true" ? "set" : "list", of: objects[1] };
  const get = /(?:\.get|new \w+\.)(String|Number|Boolean)?(List|Map)?(?:Attribute)?\(/;
  const [, of = "String", kind = "Simple"] = code.match(get) ?? [];
  if (!get.test(code)) throw new Error(`the type of ${name} is not clear: ${code}`);
  const isSet = code.includes("Fn.tolist(");
  return { kind: isSet ? "set" : kind.toLowerCase(), of: of.toLowerCase() };
}

const [infra, mirror, platform] = process.argv.slice(2);
const files = readdirSync(infra).filter((name) => name.endsWith(".tf"));
const code = files.map((name) => readFileSync(`${infra}/${name}`, "utf8")).join("\n");
const packages = JSON.parse(readFileSync(`${import.meta.dirname}/package.json`)).dependencies;
for (const name of Object.keys(packages)) {
  const lib = `${import.meta.dirname}/node_modules/${name}/lib`;
  const provider = name.split("/provider-")[1];
  const { text, block } = read(`${lib}/provider`);
  const schemas = { provider: { block }, resource: {}, data: {} };
  for (const [, kind, type] of code.matchAll(/^(resource|data) "(\w+)"/gm)) {
    if (type.split("_")[0] !== provider || type in schemas[kind]) continue;
    const module = kind === "data" ? `data-${type}` : type.slice(provider.length + 1);
    const folder = `${lib}/${module.replaceAll("_", "-")}`;
    // `static` is a word of TypeScript, so the module of time_static is static-resource.
    const { block } = read(existsSync(folder) ? folder : `${folder}-resource`);
    for (const attribute in block.attributes) {
      block.attributes[attribute].sensitive = sensitive.includes(`${type}.${attribute}`);
    }
    schemas[kind][type] = { block };
  }
  const [, version] = text.match(/providerVersion: '(.*)'/);
  const folder = `${mirror}/registry.terraform.io/hashicorp/${provider}/${version}/${platform}`;
  mkdirSync(folder, { recursive: true });
  const { resource: resource_schemas, data: data_source_schemas } = schemas;
  const out = { provider: schemas.provider, resource_schemas, data_source_schemas };
  writeFileSync(`${folder}/schema.json`, JSON.stringify(out));
  console.log(folder);
}
