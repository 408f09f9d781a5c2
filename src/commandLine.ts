import { Command, CommanderError, InvalidArgumentError, Option } from "commander";

// Builds the command line from tables of commands: parsing, help and shell completion all come from them.

export type OptionSpec = {
  /** The placeholder of the value in the help; a switch has none. */
  value?: string;
  help: string;
  /** Takes several values: the option repeated, or commas between them. */
  multiple?: true;
  choices?: readonly string[];
  /** The value is a whole number from 1 to this. */
  most?: number;
  fallback?: string;
  isRequired?: true;
  /** Options that it cannot be combined with. */
  without?: readonly string[];
};

export type CommandSpec = {
  /** Names of the arguments; one in brackets is optional. */
  positionals: readonly string[];
  options: Readonly<Record<string, OptionSpec>>;
  help: string;
  /** Text at the end of its help. */
  more?: string;
};

/** The arguments and options that a command was called with, checked against its table. */
export type Given = {
  positionals: readonly string[];
  /** The names of the options that were really given, not of those with a default only. */
  options: readonly string[];
  /** The values of an option that takes several; empty if it was not given. */
  texts(option: string): readonly string[];
  /** The value of an option, or its default. */
  text(option: string): string | undefined;
  isOn(option: string): boolean;
};

export type Terminal = { print(text: string): void; complain(text: string): void };

export type CommandLine = {
  program: Command;
  /** Adds a command that only has subcommands. */
  addGroup(name: string, summary: string): Command;
  /** Adds a command; `run` answers its exit code. */
  add(parent: Command, name: string, spec: CommandSpec, run: (given: Given) => Promise<number>): void;
  /** Answers the exit code: 0 done, 1 not done or something is wrong, 2 wrong usage. */
  run(args: readonly string[]): Promise<number>;
};

/** Wrong usage of a kind that the table cannot express; nothing was done. */
export class WrongCall extends Error {}

const exitFailed = 1;
/** The exit code that shells expect for wrong usage. */
const exitUsage = 2;

export function openCommandLine(name: string, { print, complain }: Terminal): CommandLine {
  let exitCode = 0;
  let called: readonly string[] = [];
  const isArgument = (text: string) => called.includes(text);
  const program = new Command(name)
    .exitOverride()
    .helpOption("-h, --help", "Print this help.")
    .helpCommand("help [command]", "Print the help of a command.")
    // Options of the program itself, like --version, stand before the command; after it they are the command's.
    .enablePositionalOptions()
    .configureOutput({
      writeOut: (text) => print(text.trimEnd()),
      writeErr: (text) => complain(text.trimEnd().split("\n").map(printable).join("\n")),
    });
  const addCommand = (parent: Command, command: string, whatIsListed: string) => {
    const path = [parent === program ? "" : parent.name(), command].filter(Boolean).join(" ");
    return parent.command(command).showHelpAfterError(`\`npm run dcm -- ${path} --help\` lists every ${whatIsListed}.`);
  };
  program.showHelpAfterError("`npm run dcm -- --help` lists every command.");
  return {
    program,
    addGroup: (group, summary) => addCommand(program, group, "command").description(summary),
    add(parent, command, spec, run) {
      const added = addCommand(parent, command, "option").description(spec.help);
      for (const positional of spec.positionals) added.argument(positional);
      for (const [option, optionSpec] of Object.entries(spec.options))
        added.addOption(optionOf(option, optionSpec, isArgument));
      if (spec.more) added.addHelpText("after", `\n${spec.more}`);
      added.action(async () => {
        try {
          exitCode = await run(givenTo(added));
        } catch (error) {
          if (error instanceof WrongCall) added.error(`error: ${error.message}`);
          throw error;
        }
      });
    },
    async run(args) {
      called = args;
      try {
        await program.parseAsync(args, { from: "user" });
        return exitCode;
      } catch (error) {
        if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : exitUsage;
        complain(printable(`${args[0]} failed: ${(error as Error).message}`));
        return exitFailed;
      }
    },
  };
}

function optionOf(name: string, spec: OptionSpec, isArgument: (text: string) => boolean): Option {
  const { value, help, multiple, choices, most, fallback, isRequired = false, without = [] } = spec;
  const flags = value === undefined ? `--${name}` : `--${name} <${value}${multiple ? ",..." : ""}>`;
  const option = new Option(flags, most === undefined ? help : `${help} From 1 to ${most}.`);
  option.makeOptionMandatory(isRequired).conflicts([...without]);
  if (value === undefined) return option;
  if (choices) option.choices(choices);
  return option.default(fallback).argParser<string | string[]>((text, before = []) => {
    // The parser takes the next word as a value whatever it is, so a forgotten value would swallow the next option.
    if (/^-(-|h$)/.test(text) && isArgument(text)) {
      throw new InvalidArgumentError(
        `Its value is missing; one that begins like an option is given as --${name}=VALUE.`,
      );
    }
    const values = multiple ? text.split(",") : [text];
    for (const one of values) checkValue(one, spec);
    return multiple ? [...before, ...values] : text;
  });
}

function checkValue(text: string, { choices, most, isRequired }: OptionSpec): void {
  if (isRequired && text === "") throw new InvalidArgumentError("It must not be empty.");
  if (choices && !choices.includes(text))
    throw new InvalidArgumentError(`${text} is not one of ${choices.join(", ")}.`);
  if (most !== undefined && !(/^\d+$/.test(text) && Number(text) >= 1 && Number(text) <= most)) {
    throw new InvalidArgumentError(`It must be a whole number from 1 to ${most}.`);
  }
}

function givenTo(command: Command): Given {
  const values = new Map<string, string | string[] | boolean | undefined>(
    command.options.map((option) => [option.name(), command.getOptionValue(option.attributeName())]),
  );
  const texts = (option: string) => [values.get(option) ?? []].flat().filter((value) => typeof value === "string");
  return {
    positionals: command.args,
    options: command.options
      .filter((option) => command.getOptionValueSource(option.attributeName()) === "cli")
      .map((option) => option.name()),
    texts,
    text: (option) => texts(option).at(-1),
    isOn: (option) => values.get(option) === true,
  };
}

/**
 * Makes a stranger's text (answers of endpoints, names) safe for a terminal: control characters are shown, not obeyed, so nothing
 * can repaint the screen or hide a line.
 */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (character) =>
    character === "\n" ? "\\n" : `\\u{${character.codePointAt(0)?.toString(16)}}`,
  );
}
