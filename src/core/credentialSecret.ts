import { randomBytes } from "node:crypto";

/** A secret of 32 random bytes cannot be guessed, so a plain digest of it (no salt, no slow hash) gives nothing away. */
export const newSecret = () => `dcm_${randomBytes(32).toString("base64url")}`;
