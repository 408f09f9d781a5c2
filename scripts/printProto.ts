// Writes a .proto file from the descriptor that a package carries, where no package ships the file itself. It knows the parts of
// the language that such files use; a test compiles what it wrote and finds the same descriptor.

import { createRegistry, type DescFile, type JsonObject, type JsonValue, toJson } from "@bufbuild/protobuf";
import {
  type DescriptorProto,
  type EnumDescriptorProto,
  type FieldDescriptorProto,
  FieldDescriptorProto_Label,
  FieldDescriptorProto_Type,
  FieldOptionsSchema,
  FileOptionsSchema,
} from "@bufbuild/protobuf/wkt";

export function printProto(file: DescFile): string {
  const { proto } = file;
  const registry = createRegistry(file);
  const optionsOf = (field: FieldDescriptorProto) =>
    field.options === undefined ? {} : (toJson(FieldOptionsSchema, field.options, asWritten(registry)) as JsonObject);
  const fileOptions = proto.options
    ? (toJson(FileOptionsSchema, proto.options, asWritten(registry)) as JsonObject)
    : {};
  const blocks = [
    [`syntax = "${proto.syntax || "proto2"}";`],
    [`package ${proto.package};`],
    proto.dependency.map((path) => `import "${path}";`),
    Object.entries(fileOptions).map(([name, value]) => `option ${optionName(name)} = ${literal(value)};`),
    ...extensionsByWhom(proto.extension).map(([whom, fields]) =>
      block(
        `extend ${whom}`,
        fields.map((field) => fieldLine(field, optionsOf(field))),
      ),
    ),
    ...proto.messageType.map((message) => messageBlock(message, optionsOf)),
    ...proto.enumType.map(enumBlock),
  ];
  const texts = blocks.filter((lines) => lines.length > 0).map((lines) => lines.join("\n"));
  return `${texts.join("\n\n")}\n`;
}

const asWritten = (registry: ReturnType<typeof createRegistry>) => ({ registry, useProtoFieldName: true });

type OptionsOf = (field: FieldDescriptorProto) => JsonObject;

function messageBlock({ name, field, oneofDecl, ...message }: DescriptorProto, optionsOf: OptionsOf): string[] {
  const line = (of: FieldDescriptorProto) => fieldLine(of, optionsOf(of));
  const free = field.filter((of) => !isInOneof(of)).map(line);
  const oneofs = oneofDecl.map((oneof, index) =>
    block(
      `oneof ${oneof.name}`,
      field.filter((of) => isInOneof(of) && of.oneofIndex === index).map((of) => line(of).replace(/^optional /, "")),
    ),
  );
  return block(`message ${name}`, [
    // The end of these is exclusive; of an enum's it is not.
    ...message.reservedRange.map(({ start, end }) => `reserved ${range(start, end - 1)};`),
    ...reservedNames(message.reservedName),
    ...message.extensionRange.map(({ start, end }) => `extensions ${range(start, end - 1)};`),
    ...free,
    ...oneofs.flat(),
    ...message.nestedType.flatMap((nested) => messageBlock(nested, optionsOf)),
    ...message.enumType.flatMap(enumBlock),
  ]);
}

const enumBlock = ({ name, value, reservedRange, reservedName }: EnumDescriptorProto): string[] =>
  block(`enum ${name}`, [
    ...reservedRange.map(({ start, end }) => `reserved ${range(start, end)};`),
    ...reservedNames(reservedName),
    ...value.map((of) => `${of.name} = ${of.number};`),
  ]);

/** Zero is the first oneof, so its being there has to be asked for itself. */
const isInOneof = (field: FieldDescriptorProto) => Object.hasOwn(field, "oneofIndex");

function extensionsByWhom(fields: readonly FieldDescriptorProto[]): [string, FieldDescriptorProto[]][] {
  return Object.entries(Object.groupBy(fields, ({ extendee }) => extendee)) as [string, FieldDescriptorProto[]][];
}

function fieldLine(field: FieldDescriptorProto, options: JsonObject): string {
  const label = FieldDescriptorProto_Label[field.label].toLowerCase();
  const type = field.typeName || FieldDescriptorProto_Type[field.type].toLowerCase();
  const given = Object.entries(options).flatMap(([name, value]) => settings(optionName(name), value));
  return `${label} ${type} ${field.name} = ${field.number}${given.length > 0 ? ` [${given.join(", ")}]` : ""};`;
}

const block = (head: string, lines: readonly string[]) => [`${head} {`, ...lines.map((line) => `  ${line}`), "}"];

/** The greatest number of a field; ranges up to it are written so. */
const mostFields = 536_870_911;

function range(first: number, last: number): string {
  if (last >= mostFields) return `${first} to max`;
  return first === last ? String(first) : `${first} to ${last}`;
}

const reservedNames = (names: readonly string[]) =>
  names.length === 0 ? [] : [`reserved ${names.map((name) => JSON.stringify(name)).join(", ")};`];

/** Each part of an option for itself: some readers of the language know no lists of messages. */
function settings(name: string, value: JsonValue): string[] {
  if (!name.startsWith("(") || typeof value !== "object" || value === null) return [`${name} = ${literal(value)}`];
  return Object.entries(value).flatMap(([member, given]) =>
    [given].flat().map((one) => `${name}.${member} = ${literal(one)}`),
  );
}

/** JSON writes an extension in brackets, the language in parentheses. */
const optionName = (name: string) => name.replace(/^\[(.*)\]$/, "($1)");

function literal(value: JsonValue): string {
  if (Array.isArray(value)) return `[${value.map(literal).join(", ")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const members = Object.entries(value).map(([name, member]) => `${name}: ${literal(member)}`);
  return `{ ${members.join(", ")} }`;
}
