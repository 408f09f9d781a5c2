// Loaded into the program by a test (node --import): tells which modules it had loaded when it ended.

import { writeFileSync } from "node:fs";
import { registerHooks } from "node:module";

const loaded = [];

registerHooks({
  load(url, context, next) {
    loaded.push(url);
    return next(url, context);
  },
});

process.on("exit", () => writeFileSync(process.env.LOADED_MODULES_FILE, loaded.join("\n")));
