// Words of SQL, over the dialects that are common behind web applications, by the part that they play in an injection.

/** What a token is. The codes are the letters of fingerprints. */
export const KIND = {
  end: 0,
  /** A name that means nothing by itself. */
  name: 0x6e, // n
  /** A number, or NULL, TRUE, FALSE. */
  number: 0x31, // 1
  string: 0x73, // s
  /** @name, @@name. */
  variable: 0x76, // v
  /** AND, OR, XOR, && and ||. */
  logic: 0x26, // &
  /** NOT, ! and ~. */
  not: 0x21, // !
  /** What computes: + - * / % ^ | & and words like DIV. */
  operator: 0x6f, // o
  /** What compares: = < > LIKE IN IS BETWEEN and their like. */
  compare: 0x3d, // =
  union: 0x55, // U
  /** What begins a statement. */
  statement: 0x45, // E
  /** What begins a clause at the end of a query: ORDER BY, HAVING, LIMIT. */
  clause: 0x42, // B
  /** Other words of the language. */
  keyword: 0x6b, // k
  /** A name before a parenthesis. */
  call: 0x66, // f
  /** A function that waits, reads files or makes errors that tell something: no one writes it by chance. */
  weapon: 0x46, // F
  open: 0x28,
  close: 0x29,
  comma: 0x2c,
  semicolon: 0x3b,
  /** A comment up to the end. */
  comment: 0x63, // c
  other: 0x3f, // ?
} as const;

const words = (text: string): string[] => text.trim().split(/\s+/);

const LOGIC = words("and or xor");
const NOT = words("not");
const OPERATORS = words("div mod collate binary");
const COMPARISONS = words("like rlike regexp ilike glob match similar sounds between in is isnull notnull overlaps");
const UNIONS = words("union intersect except minus");
const STATEMENTS = words(`
  select insert update delete drop create alter truncate exec execute declare waitfor shutdown merge replace call
  grant revoke backup restore load handler copy attach vacuum rename lock begin commit rollback set use show describe
  explain if while print`);
const CLAUSES = words("order group having limit offset procedure into fetch window");
const KEYWORDS = words(`
  from where by all distinct values table database schema view index user role function trigger column on as asc desc
  when then else end case exists any some join inner outer left right cross natural using with outfile dumpfile delay
  time immediate analyse row rows only for returning default`);
const VALUES = words("null true false unknown");

/** Functions that wait, reach out, read files, run programs, or put what they read into an error. */
const WEAPONS = words(`
  sleep benchmark pg_sleep pg_sleep_for pg_sleep_until waitfor dbms_lock.sleep dbms_pipe.receive_message
  dbms_session.sleep utl_http.request utl_inaddr.get_host_address utl_inaddr.get_host_name httpuritype
  ctxsys.drithsx.sn dbms_xmlgen.getxml dbms_ldap.init dbms_java.runjava extractvalue updatexml xmltype load_file
  load_extension pg_read_file pg_ls_dir lo_import lo_export xp_cmdshell xp_dirtree xp_regread xp_fileexist xp_subdirs
  sp_executesql sp_oacreate openrowset opendatasource randomblob gtid_subset gtid_subtract name_const
  database_to_xml query_to_xml sqlite_version is_srvrolemember group_concat sys_eval sys_exec
  st_latfromgeohash st_longfromgeohash`);

/** Functions that conditions of injections are made of; other programs have functions of these names too. */
const COMMON_CALLS = words(`
  ascii ord char chr hex unhex substring substr mid left right concat concat_ws if ifnull nullif iif coalesce convert
  cast count version user current_user session_user system_user database schema length char_length character_length
  datalength len md5 sha1 exp floor rand row json_extract json_value make_set elt strcmp locate position instr lpad rpad
  lower upper trim bin conv bit_length now sysdate connection_id last_insert_id row_count db_name host_name suser_name
  user_name to_char to_number decode rownum nvl rawtohex ascii_str polygon multipoint linestring geometrycollection
  regexp_like regexp_substring current_setting greatest least exists`);

/** A word that means something. */
export interface SqlWord {
  /** In lower case. */
  readonly word: string;
  /** What it is by itself. */
  readonly kind: number;
  /** What it is before a parenthesis: some words are no functions (`in (`, `and (`) and stay what they are. */
  readonly call: number;
  /** Whether conditions of injections are commonly made with a function of that name. */
  readonly common: boolean;
}

const WORDS = new Map<string, SqlWord>();
for (const [list, kind] of [
  [KEYWORDS, KIND.keyword],
  [VALUES, KIND.number],
  [CLAUSES, KIND.clause],
  [STATEMENTS, KIND.statement],
  [UNIONS, KIND.union],
  [COMPARISONS, KIND.compare],
  [OPERATORS, KIND.operator],
  [NOT, KIND.not],
  [LOGIC, KIND.logic],
] as const)
  for (const word of list) WORDS.set(word, { word, kind, call: kind, common: false });
for (const word of COMMON_CALLS)
  WORDS.set(word, { word, kind: WORDS.get(word)?.kind ?? KIND.name, call: KIND.call, common: true });
for (const word of WEAPONS)
  WORDS.set(word, { word, kind: WORDS.get(word)?.kind ?? KIND.name, call: KIND.weapon, common: false });

/** Programs that come with a database, with the schema that they are named in. */
const STORED_PROGRAM = /\.(?:xp|sp|pg|dbms)_\w+$/;

/** The longest word that any list has. */
const WORD_MAX = Math.max(...WEAPONS.map((word) => word.length));

/** Names shorter than this have no schema before them. */
const SHORT = 12;

/** Bit n of the entry for a letter: a word of n letters begins with it. Most words of a text are told by that. */
const LENGTHS = new Uint32Array(256);
for (const word of WORDS.keys())
  for (const letter of [word[0]!, word[0]!.toUpperCase()])
    LENGTHS[letter.charCodeAt(0)]! |= 1 << Math.min(31, word.length);

/** Of tokens that are no words, and of names that no list has. */
export const NO_WORD: SqlWord = { word: "", kind: KIND.name, call: KIND.call, common: false };
const PROGRAM: SqlWord = { word: "", kind: KIND.name, call: KIND.weapon, common: false };

/** What the name that stands there means. */
export function wordAt(text: string, start: number, end: number): SqlWord {
  const length = end - start;
  if (length > WORD_MAX || (length < SHORT && ((LENGTHS[text.charCodeAt(start)]! >> length) & 1) === 0)) return NO_WORD;
  const word = text.slice(start, end).toLowerCase();
  const known = WORDS.get(word);
  if (known !== undefined) return known;
  return word.includes(".") && STORED_PROGRAM.test(word) ? PROGRAM : NO_WORD;
}
