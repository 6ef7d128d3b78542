-- A file of version 1, as Hone made it in November 2026. Persistent: it stays as it is.
PRAGMA application_id = 1215262309;
PRAGMA user_version = 1;
BEGIN TRANSACTION;
CREATE TABLE device (
  id INTEGER PRIMARY KEY,
  key TEXT NOT NULL UNIQUE,
  backend TEXT NOT NULL,
  vendor TEXT NOT NULL,
  arch TEXT NOT NULL,
  model TEXT NOT NULL,
  units INTEGER NOT NULL,
  memory_bytes INTEGER NOT NULL,
  driver TEXT NOT NULL,
  name TEXT NOT NULL
) STRICT;
INSERT INTO device VALUES(1,'cpu/AuthenticAMD/x86-64-v4/25.17.1/2','cpu','AuthenticAMD','x86-64-v4','25.17.1',2,17179869184,'6.1','A chip');
CREATE TABLE ceiling (
  device INTEGER NOT NULL REFERENCES device(id),
  name TEXT NOT NULL,
  value REAL NOT NULL,
  PRIMARY KEY (device, name)
) STRICT, WITHOUT ROWID;
INSERT INTO ceiling VALUES(1,'read_gbps',20.499999999999999999);
CREATE TABLE template (
  id INTEGER PRIMARY KEY,
  hash BLOB NOT NULL UNIQUE,
  op TEXT NOT NULL,
  variant TEXT NOT NULL,
  text TEXT NOT NULL
) STRICT;
INSERT INTO template VALUES(1,X'b81d9d57940fecd4363b5a8e02dcb6bc','softmax','rowwise',replace('//! serves cpu\n','\n',char(10)));
CREATE TABLE problem (
  id INTEGER PRIMARY KEY,
  text TEXT NOT NULL UNIQUE,
  handle TEXT NOT NULL,
  op TEXT NOT NULL
) STRICT;
INSERT INTO problem VALUES(1,'softmax:rows=32,cols=64,x=bf16','softmax:cols=64,x=bf16','softmax');
CREATE TABLE trial (
  id INTEGER PRIMARY KEY,
  device INTEGER NOT NULL REFERENCES device(id),
  problem INTEGER NOT NULL REFERENCES problem(id),
  variant TEXT NOT NULL,
  template BLOB NOT NULL,
  config TEXT NOT NULL,
  layout TEXT NOT NULL,
  source BLOB NOT NULL,
  status TEXT NOT NULL,
  median_ns INTEGER NOT NULL,
  spread REAL NOT NULL,
  samples INTEGER NOT NULL,
  bound_ns INTEGER NOT NULL,
  error REAL,
  checked TEXT NOT NULL,
  timed TEXT NOT NULL,
  toolchain TEXT NOT NULL,
  reason TEXT NOT NULL,
  compile_ms INTEGER NOT NULL,
  measured INTEGER NOT NULL,
  final_ns INTEGER NOT NULL,
  preference INTEGER NOT NULL,
  is_default INTEGER NOT NULL,
  UNIQUE (problem, device, template, config)
) STRICT;
INSERT INTO trial VALUES(1,1,1,'rowwise',X'b81d9d57940fecd4363b5a8e02dcb6bc','U=1,threads=2','',X'94d48e522dabd40cc1a0add5411fbaca','ok',1000,0.012500000000000000693,31,700,1.4999999999999999321e-07,'all rows','cold 6 copies, 2 threads','g++ 12.2.0','',80,1750000000,0,0,0);
INSERT INTO trial VALUES(2,1,1,'rowwise',X'b81d9d57940fecd4363b5a8e02dcb6bc','U=2,threads=2','w:panel(32)',X'a8c5aa8e61f54e111999a11c20301b60','ok',800,0.012500000000000000693,31,700,1.4999999999999999321e-07,'all rows','cold 6 copies, 2 threads','g++ 12.2.0','',80,1750000000,810,1,0);
INSERT INTO trial VALUES(3,1,1,'rowwise',X'b81d9d57940fecd4363b5a8e02dcb6bc','U=3,threads=2','',X'7bca0f6e586c1a76f24c4b9e09188ce6','wrong',0,0.012500000000000000693,31,700,0.5,'all rows','cold 6 copies, 2 threads','g++ 12.2.0','it failed',80,1750000000,0,0,0);
CREATE TABLE binary (
  id INTEGER PRIMARY KEY,
  source BLOB NOT NULL,
  target TEXT NOT NULL,
  code BLOB NOT NULL,
  UNIQUE (source, target)
) STRICT;
INSERT INTO binary VALUES(1,X'a8c5aa8e61f54e111999a11c20301b60','cpu/x86-64-v4',X'28b52ffd2410810000636f6465206f662061206b65726e656cea5ff33f');
CREATE INDEX problem_handle ON problem(handle);
CREATE INDEX problem_op ON problem(op);
CREATE INDEX trial_rank ON trial(problem, device, layout, preference = 0, preference, median_ns)
  WHERE status = 'ok' AND median_ns > 0;
CREATE VIEW record AS
  SELECT trial.id AS id, device.key AS device, problem.text AS problem, problem.handle AS handle, problem.op AS op,
         variant, template, config, layout, source, status, median_ns, spread, samples, bound_ns, error, checked, timed,
         toolchain, reason, compile_ms, measured, final_ns, preference, is_default
  FROM trial JOIN device ON device.id = trial.device JOIN problem ON problem.id = trial.problem;
CREATE VIEW best AS
  SELECT id, device, problem, handle, op, variant, template, config, layout, source, median_ns, spread, samples, bound_ns,
         error, checked, timed, toolchain, compile_ms, measured, final_ns, preference, is_default
  FROM (SELECT *, row_number() OVER (PARTITION BY device, problem, layout
                                     ORDER BY preference = 0, preference, median_ns, id) AS place
        FROM record WHERE status = 'ok' AND median_ns > 0)
  WHERE place = 1;
COMMIT;
