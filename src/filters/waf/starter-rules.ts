// The rules that hold where a configuration names none: the main classes of attacks, few and without tuning. Each match
// adds to a score; the last rule of phase 2 refuses from the threshold on.

/** SecLang; `tx.threshold` is set before. */
export const STARTER_RULES = String.raw`
SecDefaultAction "phase:1,log,pass"
SecDefaultAction "phase:2,log,pass"

# Requests that no browser and no honest program sends.
SecRule REQUEST_URI_RAW|REQUEST_HEADERS "@validateByteRange 1-255" \
  "id:990101,phase:1,pass,t:none,t:urlDecodeUni,severity:CRITICAL,msg:'Null byte in the request',setvar:tx.score=+5"
SecRule REQUEST_HEADERS:Content-Length "!@rx ^\d{1,15}$" \
  "id:990102,phase:1,pass,t:none,severity:CRITICAL,msg:'Content-Length is no number',setvar:tx.score=+5"
SecRule REQUEST_HEADERS|REQUEST_HEADERS_NAMES "@rx [\r\n]" \
  "id:990103,phase:1,pass,t:none,t:urlDecodeUni,severity:CRITICAL,msg:'Line end in a field',setvar:tx.score=+5"
SecRule REQUEST_HEADERS:User-Agent "@pm sqlmap nikto nuclei masscan zgrab dirbuster gobuster wpscan acunetix nessus" \
  "id:990104,phase:1,pass,t:none,severity:CRITICAL,msg:'Security scanner',logdata:'%{MATCHED_VAR}',setvar:tx.score=+5"
SecRule REQUEST_HEADERS:Content-Type \
  "@rx charset\s*=\s*[\x22']?(?:utf-?(?:7|16|32)|ucs|ibm|cp(?:037|500|1047)|ebcdic)" \
  "id:990105,phase:1,pass,t:none,t:lowercase,severity:CRITICAL,msg:'Charset that hides what is in the body',\
  logdata:'%{MATCHED_VAR}',setvar:tx.score=+5"

# Paths out of the folder, and files that nobody is to have.
SecRule REQUEST_URI_RAW|ARGS|REQUEST_HEADERS:Referer|FILES "@rx (?:^|[/\\])\.\.(?:[/\\]|$)" \
  "id:990201,phase:2,pass,t:none,t:urlDecodeUni,t:removeNulls,severity:CRITICAL,msg:'Path out of the folder',\
  logdata:'%{MATCHED_VAR_NAME}',setvar:tx.score=+5"
SecRule REQUEST_FILENAME|ARGS|REQUEST_COOKIES|XML:/*|XML://@* \
  "@pm /etc/passwd /etc/shadow /proc/self/ c:\windows\system32 boot.ini win.ini" \
  "id:990202,phase:2,pass,t:none,t:urlDecodeUni,t:removeNulls,t:normalizePath,severity:CRITICAL,\
  msg:'File of the system',logdata:'%{MATCHED_VAR_NAME}',setvar:tx.score=+5"
SecRule REQUEST_FILENAME "@pm /.git/ /.svn/ /.hg/ /.env /.htpasswd /.htaccess /.aws/credentials /.ssh/ /wp-config.php.bak" \
  "id:990203,phase:1,pass,t:none,t:urlDecodeUni,t:normalizePathWin,severity:CRITICAL,msg:'Hidden file',\
  logdata:'%{MATCHED_VAR}',setvar:tx.score=+5"

# Commands, code and templates.
SecRule ARGS|ARGS_NAMES|REQUEST_COOKIES|XML:/*|FILES \
  "@rx (?:[;|&\x60\n]|\$\()\s*(?:/(?:usr/)?(?:s?bin)/)?(?:cat|curl|wget|nc|bash|sh|zsh|python\d?|perl|ruby|id|whoami|uname|ping|nslookup|powershell|cmd\.exe)\b(?:\s+[-/~.\w$]|\s*[;|&)\x60]|\s*$)" \
  "id:990301,phase:2,pass,t:none,t:urlDecodeUni,t:lowercase,severity:CRITICAL,msg:'Command of a shell',\
  logdata:'%{MATCHED_VAR_NAME}',setvar:tx.score=+5"
SecRule ARGS|ARGS_NAMES|REQUEST_COOKIES|REQUEST_HEADERS|XML:/*|REQUEST_URI_RAW "@rx \$\{(?:jndi|env|sys|lower|upper|::-)[:\w]" \
  "id:990302,phase:2,pass,t:none,t:urlDecodeUni,t:lowercase,severity:CRITICAL,msg:'Look-up in a log message',\
  logdata:'%{MATCHED_VAR_NAME}',setvar:tx.score=+5"
SecRule ARGS|REQUEST_COOKIES|XML:/*|FILES "@rx <\?(?:php|=)|<%[@=!\s]|\b(?:eval|assert|system|passthru|shell_exec|proc_open|popen)\s*\(\s*[\$'\x22]" \
  "id:990303,phase:2,pass,t:none,t:urlDecodeUni,t:lowercase,severity:CRITICAL,msg:'Code of a server',\
  logdata:'%{MATCHED_VAR_NAME}',setvar:tx.score=+5"
SecRule ARGS|REQUEST_COOKIES|REQUEST_HEADERS|XML:/* "@rx \(\)\s*\{\s*[:_]?\s*;?\s*\}\s*;" \
  "id:990304,phase:2,pass,t:none,t:urlDecodeUni,severity:CRITICAL,msg:'Function in the environment of a shell',\
  logdata:'%{MATCHED_VAR_NAME}',setvar:tx.score=+5"
SecRule ARGS|ARGS_NAMES|REQUEST_COOKIES "@rx __proto__|constructor\s*(?:\.|\[\s*['\x22])\s*prototype" \
  "id:990305,phase:2,pass,t:none,t:urlDecodeUni,severity:CRITICAL,msg:'Prototype of an object',\
  logdata:'%{MATCHED_VAR_NAME}',setvar:tx.score=+5"
SecRule ARGS|REQUEST_COOKIES "@rx \{\{.*(?:\d\s*\*\s*\d|__class__|constructor|config|request|self)\b.*\}\}" \
  "id:990306,phase:2,pass,t:none,t:urlDecodeUni,severity:CRITICAL,msg:'Expression of a template',\
  logdata:'%{MATCHED_VAR_NAME}',setvar:tx.score=+5"

# Addresses that servers are to be made to ask.
SecRule ARGS "@rx ^(?:https?|ftp|gopher|dict|file)://(?:127\.|0\.0\.0\.0|localhost\b|\[::1?\]|169\.254\.169\.254|metadata\.google\.internal)" \
  "id:990401,phase:2,pass,t:none,t:urlDecodeUni,t:lowercase,severity:CRITICAL,msg:'Address of the server itself',\
  logdata:'%{MATCHED_VAR_NAME}',setvar:tx.score=+5"
SecRule ARGS "@rx ^(?:file|gopher|dict|php|phar|expect|jar|ldap)://" \
  "id:990402,phase:2,pass,t:none,t:urlDecodeUni,t:lowercase,severity:CRITICAL,msg:'Address with a scheme of attacks',\
  logdata:'%{MATCHED_VAR_NAME}',setvar:tx.score=+5"

# Databases and pages.
SecRule ARGS|ARGS_NAMES|REQUEST_COOKIES|REQUEST_HEADERS:User-Agent|REQUEST_HEADERS:Referer|XML:/*|XML://@* \
  "@detectSQLi" \
  "id:990501,phase:2,pass,t:none,t:utf8toUnicode,t:urlDecodeUni,t:removeNulls,severity:CRITICAL,msg:'SQL injection',\
  logdata:'%{MATCHED_VAR_NAME}',setvar:tx.score=+5"
SecRule ARGS|ARGS_NAMES|REQUEST_FILENAME|REQUEST_COOKIES|REQUEST_HEADERS:User-Agent|REQUEST_HEADERS:Referer|XML:/*|\
XML://@* \
  "@detectXSS" \
  "id:990502,phase:2,pass,t:none,t:utf8toUnicode,t:urlDecodeUni,t:htmlEntityDecode,t:jsDecode,t:removeNulls,\
  severity:CRITICAL,msg:'Cross-site scripting',logdata:'%{MATCHED_VAR_NAME}',setvar:tx.score=+5"
SecRule ARGS|ARGS_NAMES "@rx [\r\n]\s*(?:content-(?:type|length)|set-cookie|location|http/\d)" \
  "id:990503,phase:2,pass,t:none,t:urlDecodeUni,t:lowercase,severity:CRITICAL,msg:'Field of an answer in an argument',\
  logdata:'%{MATCHED_VAR_NAME}',setvar:tx.score=+5"
SecRule REQUEST_HEADERS:Content-Type|ARGS "@rx (?:%\{|\$\{)[^}]*(?:ognl|#_?memberaccess|java\.lang|runtime)" \
  "id:990504,phase:2,pass,t:none,t:urlDecodeUni,t:lowercase,severity:CRITICAL,msg:'Expression of Java',\
  logdata:'%{MATCHED_VAR_NAME}',setvar:tx.score=+5"
SecRule FILES|REQUEST_HEADERS:X-Filename "@rx \.(?:php\d?|phtml|phar|jspx?|aspx?|ashx|cgi|htaccess)(?:\.|\s*$)" \
  "id:990505,phase:2,pass,t:none,t:urlDecodeUni,t:lowercase,severity:CRITICAL,msg:'Upload of a program',\
  logdata:'%{MATCHED_VAR}',setvar:tx.score=+5"

SecRule TX:score "@ge %{tx.threshold}" \
  "id:990900,phase:2,deny,status:403,t:none,msg:'Score %{tx.score} reaches the threshold %{tx.threshold}'"
`;
