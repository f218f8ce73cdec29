// Copies the contract into the package before it is packed: `npm pack` takes nothing from outside of its folder. With
// `--remove` it takes the copy away: builds in the repository would use it, even once it is old.
import { cp, rm } from "node:fs/promises";
import { join } from "node:path";
import { PACKAGE } from "./world.js";

const copy = join(PACKAGE, "wit/contract");
await rm(copy, { recursive: true, force: true });
if (!process.argv.includes("--remove")) await cp(join(PACKAGE, "../../wit"), copy, { recursive: true });
