import { defineConfig } from "vitest/config";
import { ROOM_VARIABLE, roomNamed } from "./scripts/mutate/rooms.ts";

// The tests that judge the mutants of one room (scripts/mutate.ts).

const room = roomNamed(process.env[ROOM_VARIABLE]);

export default defineConfig({
  test: {
    include: [...room.tests],
    globalSetup: room.needsPostgres ? ["test/support/services.ts"] : [],
    // Loading the modules anew for each file would take longer than most tests.
    isolate: false,
    testTimeout: 15_000,
    hookTimeout: 60_000,
  },
});
