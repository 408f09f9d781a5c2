// Which tests judge a mutant of a room, and which services they need.

type Room = {
  /** What is mutated. */
  sources: readonly string[];
  /** The tests that are asked; a mutant that none of them notices has survived. */
  tests: readonly string[];
  needsPostgres: boolean;
  /**
   * Whether what runs while a module is loaded is mutated, too: tables, above all. Each such mutant costs a whole run of the tests,
   * which only quick ones are worth.
   */
  withStatic: boolean;
  /** So many mutants, chosen by a seed; without it all of them. */
  sample?: number;
};

const rooms = {
  domain: {
    sources: ["src/domain/**/*.ts"],
    tests: ["test/domain/**/*.test.ts", "test/{rpc,wire}/enums.test.ts"],
    needsPostgres: false,
    withStatic: true,
  },
  sdk: {
    sources: ["src/sdk/**/*.ts"],
    tests: ["test/sdk/**/*.test.ts"],
    needsPostgres: false,
    withStatic: true,
  },
  wire: {
    sources: ["src/wire/**/*.ts"],
    tests: [
      "test/wire/**/*.test.ts",
      "test/callbacks/{claims,envelope}.test.ts",
      "test/rest/{paymentPage,refusals,signed,tokens,translation}.test.ts",
      "test/rpc/{constraints,enums,refusals}.test.ts",
    ],
    needsPostgres: true,
    withStatic: true,
  },
  core: {
    sources: ["src/core/**/*.ts"],
    // Not those that judge how PostgreSQL plans its statements, or that the migrations make the schema.
    tests: ["test/core/**/!(*[pP]lans|schema).test.ts"],
    needsPostgres: true,
    withStatic: false,
    sample: 300,
  },
  rest: {
    // Streams are judged by their times, which mutants that run beside each other disturb.
    sources: ["src/rest/**/!(streams).ts"],
    // Those in which the translator stands before a core that the test controls; whole platforms take too long.
    tests: [
      "test/rest/{admission,answersAndLog,docsPage,errors,generatedClient,httpServer,inboundForms,initiators}.test.ts",
      "test/rest/{overload,paymentPage,refusals,requestParts,server,signed,tokens,translation}.test.ts",
    ],
    needsPostgres: false,
    withStatic: false,
    sample: 300,
  },
} as const satisfies Record<string, Room>;

export function roomNamed(name: string | undefined): Room {
  if (name === undefined || !Object.hasOwn(rooms, name)) {
    throw new Error(`Say which room: ${Object.keys(rooms).join(", ")}`);
  }
  return rooms[name as keyof typeof rooms];
}

/** Tells the workers, which are processes of their own, which room it is. */
export const ROOM_VARIABLE = "MUTATED_ROOM";

/** The same for the file that lists the mutants of a sample, by their keys. */
export const SAMPLE_VARIABLE = "MUTANT_SAMPLE_FILE";
