// One client connection over a pair in memory, with a stub behind it and a clock that only moves when it is told to.
import { describe, expect, test } from "bun:test";
import { listenerSchema } from "../config/schema.ts";
import { TimerWheel } from "../core/timers.ts";
import { byteByByte, cutAt, GOOD_ROWS, wireOf } from "../http/h1/feed.testing.ts";
