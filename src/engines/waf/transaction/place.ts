// Where the rules of a phase go on after a step whose work was done before they were.

/** What a variable held when it was read. */
interface Entries {
  readonly keys: readonly string[];
  readonly values: readonly string[];
}

/** All zero while nothing is suspended, so that a rule that runs in one go reads one flag. */
export class Place {
  /** In the program of the phase. */
  rule = 0;
  /** Which link of its chain was not through; -1 while no rule waits. */
  link = -1;
  /** How many values matched the first link. */
  headFound = 0;
  /** Whether the link goes on within one of its targets; from there on all below says where. */
  within = false;
  target = 0;
  /** In the targets before. */
  found = 0;
  /** Which of several chains of transformations, and which entry. */
  stage = 0;
  entry = 0;
  /** In this target, before. */
  foundWithin = 0;
  /** Entries of a variable that is read while the rule runs, as they were when it was read. */
  entries: Entries | null = null;
  liveEntry = 0;
  liveFound = 0;

  begin(): void {
    this.rule = 0;
    this.link = -1;
    this.within = false;
    this.entries = null;
  }

  /** Notes that a target waits here. Gives -1, for who says so. */
  waitAt(stage: number, entry: number, found: number): -1 {
    this.stage = stage;
    this.entry = entry;
    this.foundWithin = found;
    return -1;
  }

  keep(entries: Entries, entry: number, found: number): void {
    this.entries = entries;
    this.liveEntry = entry;
    this.liveFound = found;
  }

  suspend(target: number, found: number): void {
    this.within = true;
    this.target = target;
    this.found = found;
  }

  /** The entry to go on with. From here on nothing is suspended any more. */
  takeEntry(): number {
    if (!this.within) return 0;
    this.within = false;
    return this.entry;
  }
}
