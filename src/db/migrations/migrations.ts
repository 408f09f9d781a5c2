import { Migration20261120000000 } from "./Migration20261120000000.ts";
import { Migration20261124000000 } from "./Migration20261124000000.ts";
import { Migration20261124000001 } from "./Migration20261124000001.ts";
import { Migration20261124000002 } from "./Migration20261124000002.ts";
import { Migration20261127000000 } from "./Migration20261127000000.ts";
import { Migration20261127000001 } from "./Migration20261127000001.ts";
import { Migration20261127000002 } from "./Migration20261127000002.ts";
import { Migration20261127000003 } from "./Migration20261127000003.ts";
import { Migration20261127000004 } from "./Migration20261127000004.ts";
import { Migration20261127000005 } from "./Migration20261127000005.ts";
import { Migration20261127000006 } from "./Migration20261127000006.ts";
import { Migration20261127000007 } from "./Migration20261127000007.ts";
import { Migration20261127000008 } from "./Migration20261127000008.ts";
import { Migration20261128000002 } from "./Migration20261128000002.ts";
import { Migration20261128000003 } from "./Migration20261128000003.ts";
import { Migration20261128000004 } from "./Migration20261128000004.ts";
import { Migration20261128000005 } from "./Migration20261128000005.ts";
import { Migration20261128000020 } from "./Migration20261128000020.ts";
import { Migration20261128000021 } from "./Migration20261128000021.ts";

/**
 * Every migration, oldest first. They are only ever added: one that was released may have run somewhere, and what is
 * written into it later would be missing there. `test/db/migrations.test.ts` holds the digest of each.
 */
export const migrationsList = [
  Migration20261120000000,
  Migration20261124000000,
  Migration20261124000001,
  Migration20261124000002,
  Migration20261127000000,
  Migration20261127000001,
  Migration20261127000002,
  Migration20261127000003,
  Migration20261127000004,
  Migration20261127000005,
  Migration20261127000006,
  Migration20261127000007,
  Migration20261127000008,
  Migration20261128000002,
  Migration20261128000003,
  Migration20261128000004,
  Migration20261128000005,
  Migration20261128000020,
  Migration20261128000021,
].map((migration) => ({
  name: migration.name,
  class: migration,
}));
