// Copies the contract into the package before it is packed: `npm pack` takes nothing from outside of its folder.
import { cp } from "node:fs/promises";
import { join } from "node:path";
import { PACKAGE } from "./world.js";

await cp(join(PACKAGE, "../../wit"), join(PACKAGE, "wit/contract"), { recursive: true });
