// An agent with three popular packages and everything that TypeScript adds.
import { addDays, formatISO } from "date-fns";
import { nanoid } from "nanoid";
import { z } from "zod";
import { agent, config, Invalid, reminders, state } from "@daca/sdk";

const Order = z.object({ item: z.string().min(1), count: z.number().int().positive() });
type Order = z.infer<typeof Order>;

enum Status { Open = "open" }

class Orders {
  private readonly prefix: string = "order";
  /** Asks the host while an instance is made. While the component is built, there is none. */
  private readonly shop = config.get("shop", "here");
  async Place(input: unknown): Promise<{ id: string; due: string; status: Status }> {
    const parsed = Order.safeParse(input);
    if (!parsed.success) throw new Invalid(parsed.error.issues[0]!.path.join("."));
    const id = `${this.prefix}-${this.shop}-${nanoid()}`;
    state.set(id, parsed.data satisfies Order);
    reminders.register(id, { due: 1000 });
    return { id, due: formatISO(addDays(new Date(0), 2), { representation: "date" }), status: Status.Open };
  }
  Broken(): never {
    throw new TypeError("on purpose");
  }
  onReminder(name: string): void {
    state.delete(name);
  }
}

export default agent(Orders);
