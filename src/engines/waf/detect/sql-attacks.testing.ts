// Injections by class, each line one value as it would come in.

const lines = (text: string): readonly string[] => text.split("\n").filter((line) => line !== "");

export const SQL_ATTACKS: Readonly<Record<string, readonly string[]>> = {
  "tautologies in quotes": lines(`
' or 1=1
' or '1'='1
' or '1'='1' --
' or ''='
' OR 'a'='a
' oR/**/1=1
'or'1'='1
'or 1=1#
' or 1=1/*
' or 1
' or 1 -- -
' or 1;
' or false; 
' or 1#
' or true--
' or true
' or not 1=2
' or ~0
' or -1<0
' or 2>1--
' or 'x' like 'x
' or name like 'a%
' or 1 in (1)--
' or 1 between 0 and 2--
' or null is null
' or @@version>0--
' or 0x31=0x31
' or exists(select 1)--
' || '1'='1
' || 1=1--
'||1#
' && 1=1#
' xor 1=1--
x' and 526=527
x' and 'a'='b
x' and email is null; --
x' or full_name like '%bob%
x' and email=all(select email)--
x' and 1 > any (select 2)--
" or 1=1--
" or ""="
" or "1"="1
") or ("1"="1
') or ('a'='a
')) or (('a'='a
') or 1=1--
1' or '1'='1
1' or 1=1 limit 1 -- -+
1' or 1=1 or ''='
admin' or '1'='1'#
admin' or 1=1--
\\' or 1=1--
\\\\' or 1=1#
a' or a=a--
' or id=1
' or username--
'or.1=.1#
x' or 'y
'='
'-'
'+'
'=''or'
'='x
' like '%
'=0--+
O''Brien' or 1=1--
-1839' or '1'='1
-1839" or "1"="2
EmptyValue' and 526=527
'\tor\t1=1--
'\u000bor\u000c1=1--`),
  "tautologies in numbers": lines(`
1 or 1=1
1234 OR 1=1
1 and 1=1
1 and 1=2--
1 or 1
1||1
1 or 1=1 --
1 or 1=1#
1) or (1=1
1)) or ((1=1
1 or 2>1
1 or a=a
1 or id=1
1 or 0x31=0x31
1 xor 1=1
1 or@@version>0
1/**/or/**/1=1
1or 1=1
-1 or 1=1
+1 or 1=1
(1) or (1)=(1)
1 or not 1=2
null or 1=1
true and 1=1
@a or 1=1
1 and ascii(substring((select password from users limit 1),1,1))>64
1 and length(database())=5
1 and (select 1)=1
1 and (select 1 from dual)=1
1 or exists(select 1)
1 and 1 like 1
admin or 1=1
admin and 1=1
a or 1=1--
x or 'a'='a'
1)--
1))#`),
  "comments that cut off": lines(`
admin'--
admin' --
admin'-- -
admin'--+
admin'#
admin' #
admin'/*
admin')--
admin')) -- -
admin"--
admin") #
x';--`),
  unions: lines(`
' union select 1,2
' union all select null,null--
' UNION DISTINCT SELECT 1
'union select 1
' union/**/select/**/1
' union(select 1)
' union all(select 1)
' UnIoN SeLeCt password from users
'/*!50000union*//*!50000select*/1
1/*!50000union*/ select 1,2
1 union select 1,2,3
1 union select null
1 union all select @@version
-1 union all select 1,concat(user(),0x3a),3
1) union select 1
1 union select * from users
1 union select name,pass from users
1 union(select 1)
1e0union select 1
union select 1,2
union all select null,null
foo') UNION ALL select NULL --
/path/to/file/unitests.txt') UNION ALL select NULL --
24'union all select 1,2,3 from aa
/post/foo/24'union all select 1,2,3 from aa/bar
/post/*/*/2 union all/bar
x' union values (1)--
1 intersect select 1
' except select 1--
1%0 union select 1`),
  "further statements": lines(`
1; drop table users
1;drop table users--
'; drop table users--
'; DROP TABLE users; --
"; drop database x
'); drop table users--
1; insert into users values(1,2)
'; insert into users (a) values (1)--
'; update users set a=1--
'; delete from users--
1;delete from users where id=1
'; exec master..xp_cmdshell 'dir'--
'; exec xp_cmdshell('x')--
1; exec sp_configure 'x',1
'; execute('select 1')
'; declare @q varchar(200)
'; set @a=1--
';shutdown--
'; shutdown with nowait
'; truncate table users--
'; alter table users add x int--
'; create table x (a int)--
1; create user x
'; select pg_sleep(5)--
1;select pg_sleep(5)
1;select 1
1; select * from users
'; begin declare @x int
1;if(1=1) waitfor delay '0:0:5'
'; copy x from program 'id'; sleep(1)
'; call dbms_java.runjava('x')--
select * from users
select a,b from users
select 1 from dual
select @@version
select sleep(5)
select version() from x
delete from users where id=1
drop table users
insert into users values (1)
insert into users (name) values ('x')
update users set a=b
exec xp_cmdshell 'dir'
declare @a int
case when 1=1 then 1 else 2 end`),
  "waiting, errors and files": lines(`
sleep(20)
SLEEP(5)#
sleep (5)
pg_sleep(5)--
benchmark(1000000,md5(1))
1 and sleep(5)
1 or sleep(5)#
1-sleep(5)
1*sleep(5)
1 rlike sleep(5)
1 between 1 and sleep(3)
1 in (sleep(5))
1*if(1=1,sleep(5),0)
1-if(1=1,1,0)
if(now()=sysdate(),sleep(5),0)
(select*from(select(sleep(5)))a)
(select(0)from(select(sleep(15)))v)
1 AND (SELECT 4242 FROM PG_SLEEP(5))
1' AND (SELECT * FROM (SELECT(SLEEP(5)))bAKL) AND 'vRxe'='vRxe
2010-01-01' sleep(20.to_i) '
2010-01-01'+sleep(20.to_i)+'
/post/2010-01-01'+sleep(20.to_i)+'
unittests@example.org" sleep(10.to_i) "
JKGHUKGDI8TDHLFJH72FZLFJSKFH' and sleep(12) --
"unittests@example.org"')) and (select*from(select(sleep(5)))x) --
'+sleep(5)+'
'-sleep(5)-'
'^sleep(5)^'
'*sleep(5)*'
'=sleep(5)='
'||pg_sleep(5)--
'+(select 1 and row(1,1)>1)+'
'=(select 1)='
1=(select 1)
1' rlike (select 1)
1 waitfor delay '0:0:5'
foo')waitfor delay'5:0:20'--
';waitfor delay '0:0:5'--
waitfor delay '0:0:5'
waitfor time '10:00'
' and benchmark(1000000,md5(1))--
1 and extractvalue(1,concat(0x7e,version()))
1' and updatexml(1,concat(0x7e,(select user())),1)-- -
1,extractvalue(1,2)
1,(select 1)
id,(select case when (1=1) then 1 else 0 end)
1'||(select extractvalue(xmltype('<?xml version
'||utl_http.request('http://x')||'
' and 1=utl_inaddr.get_host_address((select 1 from dual))--
' and 1=ctxsys.drithsx.sn(1,(select 1))--
'||dbms_pipe.receive_message(chr(98)||chr(98),5)||'
1 and load_file('/etc/passwd')
' and 1=convert(int,@@version)--
1) AND 5650=CONVERT(INT,(SELECT 1)) AND (1=1
1 AND ROW(1,1)>(SELECT COUNT(*),CONCAT(1,2) FROM t GROUP BY x)
x' and 1=(select count(*) from tabname)--
'+char(65)+'
'||chr(65)||'
' or ascii(substr(user(),1,1))=114#
' and if(1=1,1,0)--
' and case when 1=1 then 1 else 0 end--
1.e(ascii 1.e(substring(1.e(select password from users limit 1 1.e,1 1.e) 1.e,1 1.e,1 1.e)1.e)1.e) = 70
user'collate nocase--
admin@juice-sh.op'and unlikely (id)--
" | type %SystemDrive%\\config.ini | "
' | id | '
' & calc & '`),
  "what tools try": lines(`
1' AND JSON_KEYS((SELECT CONVERT((SELECT CONCAT(0x71)) USING utf8))) AND 'x'='x
1 AND (SELECT 4242 FROM(SELECT COUNT(*),CONCAT(0x71,FLOOR(RAND(0)*2))x FROM t GROUP BY x)a)
1' RLIKE (SELECT (CASE WHEN (1=1) THEN 1 ELSE 0x28 END)) AND 'x'='x
(SELECT (CASE WHEN (4242=4242) THEN 1 ELSE (SELECT 4242 UNION SELECT 1) END))
1 AND CAST((CHR(113))||(SELECT 1)::text AS NUMERIC)
1 AND 4242 IN (SELECT (CHAR(113)+CHAR(112)))
1234 ' AND 1=0 UNION ALL SELECT 'admin', '81dc9bdb52d04dc20036dbd8313ed055
0'XOR(if(now()=sysdate(),sleep(5),0))XOR'Z
1'and(select(0)from(select(sleep(5)))v)and'1
' or ''-'
' or '' '
" or ""^"
' or sleep(5)='
')) or sleep(5)='
%' or '0'='0
%' or 0=0 union select null, version() #
1 or (1,2)=(select 1,2)
1'=1'
1' div '1
1' regexp '^1
1' and '1'='2' UNION SELECT null,null,null--
'::text||(select 1)::text||'
' or 1::int=1--
1 or {x 1}={x 1}
1 or json_length('{}')<1
1 or '{"a":1}'::jsonb ? 'a'
1' or data @> '{}' --
1' or a->>'b'='c
x' in ('x
a' between 'a' and 'b
a' is not null--`),
  clauses: lines(`
1 order by 10
1 order by 10--
1' order by 3-- -
1 order by 1,2
1' order by name--
1 order by (select 1)
1 group by 1
' group by 1 having 1=1--
' group by name having 1=1--
' having 1=1--
1 having 1=1
' limit 1--
1 limit 1,1 procedure analyse(1,1)
1 limit 1 offset 2
1 procedure analyse(extractvalue(1,2),1)
' procedure analyse()#
' into outfile '/tmp/x
1 into outfile '/var/www/x.php'
1 into dumpfile '/x'
-1' or 1 group by concat_ws(0x3a,version(),floor(rand(0)*2)) having min(0) or 1#`),
};
