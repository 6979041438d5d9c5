// How long what was asked for in a session may go on.
import type { Permission } from "../live.ts";
import type { Opened, Sessions } from "./sessions.ts";

export class SessionPermission implements Permission {
  readonly #sessions: Sessions;
  readonly #opened: Opened;
  readonly #until: number;

  constructor(sessions: Sessions, opened: Opened, isTunnel: boolean) {
    const { tunnel: tunnelMs } = sessions.config;
    const { endsAt } = opened.session;
    this.#sessions = sessions;
    this.#opened = opened;
    this.#until = isTunnel && tunnelMs !== undefined ? Math.min(endsAt, sessions.now + tunnelMs) : endsAt;
  }

  isOver(now: number): boolean {
    return now >= this.#until || this.#sessions.isRevoked(this.#opened);
  }
}
