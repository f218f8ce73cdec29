// What an agent finds beside the language, and what it does not: the type checker reads it, and nothing runs it.
import { agent } from "@daca/sdk";

class Globals {
  Has() {
    console.table([performance.now(), crypto.randomUUID(), crypto.getRandomValues(new Uint8Array(4))]);
    const url = new URL("/path?a=b", "https://example.com");
    const found: string | null = url.searchParams.get("a");
    const text: string = new TextDecoder("utf-8", { fatal: true }).decode(new TextEncoder().encode(btoa(atob("YQ=="))));
    queueMicrotask(() => console.log(structuredClone({ found, text }).text, [...url.searchParams]));
    return [3, 1, 2].toSorted();
  }
  Lacks() {
    // @ts-expect-error: there is no network
    fetch("https://example.com");
    // @ts-expect-error: reminders and timers call the agent later
    setTimeout(() => {}, 10);
    // @ts-expect-error: this is not Node
    process.exit();
    // @ts-expect-error: nor is it a browser
    window.alert();
    // @ts-expect-error: the engine has no WebCrypto
    crypto.subtle.digest("SHA-256", new Uint8Array());
  }
}

export default agent(Globals);
