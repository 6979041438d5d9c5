// Where something stands in a rule file, and what is wrong there.

/** A position in a rule file; line and column count from 1. */
export interface Place {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

export const showPlace = (place: Place): string => `${place.file}:${place.line}:${place.column}`;

/** Rules that cannot be loaded. The message begins with `file:line:column` and says what to do. */
export class SecLangError extends Error {
  override readonly name = "SecLangError";
  readonly place: Place;

  constructor(place: Place, problem: string) {
    super(`${showPlace(place)}: ${problem}`);
    this.place = place;
  }
}
