// The set of descriptors that a configuration names, read and made ready.
import { readFileSync, statSync } from "node:fs";
import type { TranscodeConfig } from "../../config/schema-transcode.ts";
import { Transcoder } from "../../engines/transcode/transcoder.ts";

/** Sets of whole companies have a few megabytes. */
const BYTES_MAX = 33_554_432;

/** Routes of one plan mostly have the same; what other plans had is of no use for long. */
const KEPT_MAX = 8;
const kept = new Map<string, Transcoder>();

/** Throws RangeError with what is wrong with the file. */
export function loadTranscoder(config: TranscodeConfig): Transcoder {
  const { maxBody: _body, maxMessage: _message, streams: _streams, unknownPaths: _paths, ...made } = config;
  const key = `${stateOf(config.descriptors)} ${JSON.stringify(made)}`;
  const known = kept.get(key);
  if (known !== undefined) return known;
  const transcoder = make(config);
  kept.set(key, transcoder);
  if (kept.size > KEPT_MAX) kept.delete(kept.keys().next().value!);
  return transcoder;
}

/** A file that has changed has another one. */
function stateOf(file: string): string {
  const state = statSync(file, { throwIfNoEntry: false });
  return state === undefined ? "" : `${state.ino} ${state.size} ${state.mtimeMs}`;
}

function make(config: TranscodeConfig): Transcoder {
  const { descriptors, services, unbound, base, names, enums, defaults, unknownFields, ignoreQuery } = config;
  return new Transcoder(bytesOf(descriptors), {
    services,
    unbound,
    base,
    protoNames: names === "proto",
    enumNumbers: enums === "numbers",
    emitDefaults: defaults,
    ignoreUnknown: unknownFields === "ignore",
    ignoreQuery,
  });
}

function bytesOf(file: string): Buffer {
  try {
    if (statSync(file).size > BYTES_MAX) throw new RangeError(`${file} is larger than 32 MB`);
    return readFileSync(file);
  } catch (error) {
    if (error instanceof RangeError) throw error;
    throw new RangeError(`${file} cannot be read (${(error as NodeJS.ErrnoException).code ?? String(error)})`);
  }
}
