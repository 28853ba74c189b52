PRAGMA application_id=1380798036;
BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0001');
CREATE TABLE artifact (
	row_id INTEGER NOT NULL, 
	path TEXT, 
	sha256 TEXT, 
	row_extra TEXT, 
	row_file INTEGER NOT NULL, 
	row_line INTEGER NOT NULL, 
	row_hash BLOB NOT NULL, 
	row_opened INTEGER NOT NULL, 
	row_closed INTEGER, 
	PRIMARY KEY (row_id), 
	FOREIGN KEY(row_file) REFERENCES file (id), 
	FOREIGN KEY(row_opened) REFERENCES audit (seq), 
	FOREIGN KEY(row_closed) REFERENCES audit (seq)
)
 STRICT

;
CREATE TABLE audit (
	seq INTEGER NOT NULL, 
	at TEXT NOT NULL, 
	who TEXT NOT NULL, 
	code_version TEXT NOT NULL, 
	run TEXT NOT NULL, 
	seed INTEGER, 
	action TEXT NOT NULL, 
	subject TEXT NOT NULL, 
	detail TEXT NOT NULL, 
	previous TEXT NOT NULL, 
	hash TEXT NOT NULL, 
	PRIMARY KEY (seq)
)
 STRICT

;
INSERT INTO "audit" VALUES(1,'2026-11-22T10:49:32.617802+00:00','remanent 0.1.0','0.1.0','fixture',1,'create','record','{"from":null,"to":"0001-64da3a59"}','','4955b4bd285063a7f93f152c98a6d96497cc2e03813b4340a6f32b2d8a7cf1be');
INSERT INTO "audit" VALUES(2,'2026-11-22T10:49:32.652753+00:00','remanent 0.1.0','0.1.0','fixture',1,'merge','participants/file 1','{"added":2,"added_digest":"849f46e519eb83305bff02af5daf827780970aa97f0337d12b326c69050c291a","closed":0,"closed_digest":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","content":"0a571b645bf35d24eba266f8968f2e3df99582042dbdd62497e95d21fcfb182b","file":1,"moved":0,"sha256":"554184689e103fab644c24a57bebcada45a35ce29c81015c2daca78eafd3a4f6","table":"participants"}','4955b4bd285063a7f93f152c98a6d96497cc2e03813b4340a6f32b2d8a7cf1be','303daa8c3d0088f27589ff6504d31a738788f9fc3cb3450d0a579888bcf0a3d5');
INSERT INTO "audit" VALUES(3,'2026-11-22T10:49:32.654797+00:00','remanent 0.1.0','0.1.0','fixture',1,'merge','sessions/file 2','{"added":1,"added_digest":"bb14bcab27f5b1cb2de0ef0ed885e40bb6811e043836b5fae5419456bf0d712c","closed":0,"closed_digest":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","content":"b5f332583546f24fcba362b99045ccf34cd1928459e126f8cb98be6d427d49b0","file":2,"moved":0,"sha256":"373824da3b807e982f991a5cad5a691f998ef98298e768ed5b71ff1422e3c47d","table":"sessions"}','303daa8c3d0088f27589ff6504d31a738788f9fc3cb3450d0a579888bcf0a3d5','82bcee20cf123133c76851c7b271490024a2ccc276208c6f473dd8ff2b3a2514');
INSERT INTO "audit" VALUES(4,'2026-11-22T10:49:32.655766+00:00','remanent 0.1.0','0.1.0','fixture',1,'merge','symptoms/file 3','{"added":2,"added_digest":"d260f4291a759c499c52438a5526e58883bcb9a370255dc10fb4b0e4f050eba0","closed":0,"closed_digest":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","content":"921524edeb0e88fc655f1bef4787c4d31f270091282c9fa39d7d13f7f9e62c68","file":3,"moved":0,"sha256":"f7d04b99e7e5a60ec65bef0c1036cfd0d9b7ac744c07ab9c064a6ec5aa661b9a","table":"symptoms"}','82bcee20cf123133c76851c7b271490024a2ccc276208c6f473dd8ff2b3a2514','cde9f869d7fafa1890ad339438d44ab0896785add3eb103297143d26a323c1bb');
INSERT INTO "audit" VALUES(5,'2026-11-22T10:49:32.660969+00:00','remanent 0.1.0','0.1.0','fixture',1,'merge','medication/file 4','{"added":1,"added_digest":"5629fb9a45c65eaf36f3be3a5ba8afa867bd26423a9af779a49d9939b63a5354","closed":0,"closed_digest":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","content":"d10ac28d8e542a978f27cc62ab5ed6db13c023c3717bca3818a47cb939104ed3","file":4,"moved":0,"sha256":"0f4ee3837b5ee73258a50ddb32d0327b4d3ffc39c89f9ad79c9121876fa929a2","table":"medication"}','cde9f869d7fafa1890ad339438d44ab0896785add3eb103297143d26a323c1bb','90931f8c31729557295abcda04b3c976ca35a9f85ad00877b95b79c2a5a0aa2c');
INSERT INTO "audit" VALUES(6,'2026-11-22T10:49:32.662661+00:00','remanent 0.1.0','0.1.0','fixture',1,'merge','ema/file 5','{"added":2,"added_digest":"28392f06021873810965f9ddeeed11467abc008cf75da413007465bbd8cb6d82","closed":0,"closed_digest":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","content":"802d0d8b46dfd2d4694a89f5105f5ced51bdb7a4f4c9a9a2cddfc607dd1a88e9","file":5,"moved":0,"sha256":"49cf5e79f0e46730e5a32cd24d5e9478506ffccb37de4f1b9292544b48d7e66f","table":"ema"}','90931f8c31729557295abcda04b3c976ca35a9f85ad00877b95b79c2a5a0aa2c','9ea299bac40e1647ad045b96aadaf111b70c90a399438439982d8c3bd66a8066');
INSERT INTO "audit" VALUES(7,'2026-11-22T10:49:32.663762+00:00','remanent 0.1.0','0.1.0','fixture',1,'merge','problems/file 6','{"added":1,"added_digest":"9cb5e3e00a48546c7b94707212e8dea7820e009a8bcbbd6c71cb602d4cdb1152","closed":0,"closed_digest":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","content":"2a4b4e0b9f631bd9398734f396a1ac6d9c2b29087a0b0f5ff2024deb78cbf34b","file":6,"moved":0,"sha256":null,"table":"problems"}','9ea299bac40e1647ad045b96aadaf111b70c90a399438439982d8c3bd66a8066','8e1c82c804f33cc34d33251f1a5566a524d2e43ca674d08ebed1a85e20925eb4');
INSERT INTO "audit" VALUES(8,'2026-11-22T10:49:32.668564+00:00','remanent 0.1.0','0.1.0','fixture',1,'ingest','study','{"files_read":5,"files_unchanged":0,"rows_added":8,"rows_closed":0}','8e1c82c804f33cc34d33251f1a5566a524d2e43ca674d08ebed1a85e20925eb4','cb93fdc7dd5fe00f4d414870e0fe1aad07a43599f5cbc201c349fcdb5b773dcd');
INSERT INTO "audit" VALUES(9,'2026-11-22T10:49:32.690209+00:00','remanent 0.1.0','0.1.0','fixture',1,'merge','ema/file 5','{"added":1,"added_digest":"c9d49aea8a2292a7ac47c45f4ae23b3cefeaccdd90e7d9b34258f17db5946bec","closed":1,"closed_digest":"cf48083ff154aa6493672121a7e0a4c950117651a36498e5a7bb584ac3e5f043","content":"c465e48cf247831f28081cd108d78c5238cef72c9c135fbf31fd25ce4be4e4d2","file":5,"moved":1,"sha256":"724ed8d9d9353c4fd0c9933c49e43497651c641a68dc60b4b1249b7114f38d76","table":"ema"}','cb93fdc7dd5fe00f4d414870e0fe1aad07a43599f5cbc201c349fcdb5b773dcd','db840c0253c6d0c1a528d5f4ee327d91d1d1b269a43b7ad3a3347b06aa337036');
INSERT INTO "audit" VALUES(10,'2026-11-22T10:49:32.697332+00:00','remanent 0.1.0','0.1.0','fixture',1,'merge','problems/file 6','{"added":0,"added_digest":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","closed":1,"closed_digest":"9cb5e3e00a48546c7b94707212e8dea7820e009a8bcbbd6c71cb602d4cdb1152","content":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","file":6,"moved":0,"sha256":null,"table":"problems"}','db840c0253c6d0c1a528d5f4ee327d91d1d1b269a43b7ad3a3347b06aa337036','7f09cc68d97684e548ec95af30f8ee25942fb58e9d4205b1935675a88b83527b');
INSERT INTO "audit" VALUES(11,'2026-11-22T10:49:32.698071+00:00','remanent 0.1.0','0.1.0','fixture',1,'ingest','study','{"files_read":1,"files_unchanged":4,"rows_added":1,"rows_closed":1}','7f09cc68d97684e548ec95af30f8ee25942fb58e9d4205b1935675a88b83527b','d03a2ce2a308d57b47b69c26054e8ab6daaf60a4e4d15e687ea7f9127d908152');
INSERT INTO "audit" VALUES(12,'2026-11-22T10:49:32.701259+00:00','remanent 0.1.0','0.1.0','fixture',1,'merge','features/file 7','{"added":2,"added_digest":"78396021decde14851b7fb11476dba4aa8aade5692b86d5dc3116ff604c2ff35","closed":0,"closed_digest":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","content":"d39c19ef4707ece941f125f27f417b5b0b51604e8ea688ca6d513cf2d6968dd6","file":7,"moved":0,"sha256":"cafe","table":"features"}','d03a2ce2a308d57b47b69c26054e8ab6daaf60a4e4d15e687ea7f9127d908152','b79afcef068ee3e192a73bda1af126b1c0cf8a7e4b4f0e17b681f9b3f1d7f264');
CREATE TABLE ect (
	row_id INTEGER NOT NULL, 
	participant_id TEXT, 
	day REAL, 
	placement TEXT, 
	pulse_width_ms REAL, 
	"charge_mC" REAL, 
	seizure_s REAL, 
	row_extra TEXT, 
	row_file INTEGER NOT NULL, 
	row_line INTEGER NOT NULL, 
	row_hash BLOB NOT NULL, 
	row_opened INTEGER NOT NULL, 
	row_closed INTEGER, 
	PRIMARY KEY (row_id), 
	FOREIGN KEY(row_file) REFERENCES file (id), 
	FOREIGN KEY(row_opened) REFERENCES audit (seq), 
	FOREIGN KEY(row_closed) REFERENCES audit (seq)
)
 STRICT

;
CREATE TABLE eeg (
	row_id INTEGER NOT NULL, 
	participant_id TEXT, 
	day REAL, 
	measure TEXT, 
	region TEXT, 
	value REAL, 
	row_extra TEXT, 
	row_file INTEGER NOT NULL, 
	row_line INTEGER NOT NULL, 
	row_hash BLOB NOT NULL, 
	row_opened INTEGER NOT NULL, 
	row_closed INTEGER, 
	PRIMARY KEY (row_id), 
	FOREIGN KEY(row_file) REFERENCES file (id), 
	FOREIGN KEY(row_opened) REFERENCES audit (seq), 
	FOREIGN KEY(row_closed) REFERENCES audit (seq)
)
 STRICT

;
CREATE TABLE ema (
	row_id INTEGER NOT NULL, 
	participant_id TEXT, 
	day REAL, 
	item TEXT, 
	value REAL, 
	row_extra TEXT, 
	row_file INTEGER NOT NULL, 
	row_line INTEGER NOT NULL, 
	row_hash BLOB NOT NULL, 
	row_opened INTEGER NOT NULL, 
	row_closed INTEGER, 
	PRIMARY KEY (row_id), 
	FOREIGN KEY(row_file) REFERENCES file (id), 
	FOREIGN KEY(row_opened) REFERENCES audit (seq), 
	FOREIGN KEY(row_closed) REFERENCES audit (seq)
)
 STRICT

;
INSERT INTO "ema" VALUES(1,'sub-01',1.25,'mood Ä',3.0,NULL,5,2,X'20ABB9D8A367F91A3ECF73EA2360352B6CB352E9A1392733AEA92A57DE9405AA',6,9);
INSERT INTO "ema" VALUES(2,'sub-02',2.0,'mood Ä',0.1,NULL,5,2,X'96DB4A6E7329FE25097EB8B2404D2D499F8B8397C6854320985ECA45A6E9E9C6',6,NULL);
INSERT INTO "ema" VALUES(3,'sub-01',9.0,'mood Ä',4.0,NULL,5,3,X'71E15C5F6BEAD6F9F875B10F2A0F5EEE423F005944847210866057159E8BCD23',9,NULL);
CREATE TABLE events (
	row_id INTEGER NOT NULL, 
	participant_id TEXT, 
	day REAL, 
	event TEXT, 
	detail TEXT, 
	row_extra TEXT, 
	row_file INTEGER NOT NULL, 
	row_line INTEGER NOT NULL, 
	row_hash BLOB NOT NULL, 
	row_opened INTEGER NOT NULL, 
	row_closed INTEGER, 
	PRIMARY KEY (row_id), 
	FOREIGN KEY(row_file) REFERENCES file (id), 
	FOREIGN KEY(row_opened) REFERENCES audit (seq), 
	FOREIGN KEY(row_closed) REFERENCES audit (seq)
)
 STRICT

;
CREATE TABLE features (
	row_id INTEGER NOT NULL, 
	participant_id TEXT, 
	session_id TEXT, 
	day REAL, 
	feature TEXT, 
	value REAL, 
	se REAL, 
	z REAL, 
	usable INTEGER, 
	reason TEXT, 
	row_extra TEXT, 
	row_file INTEGER NOT NULL, 
	row_line INTEGER NOT NULL, 
	row_hash BLOB NOT NULL, 
	row_opened INTEGER NOT NULL, 
	row_closed INTEGER, 
	PRIMARY KEY (row_id), 
	FOREIGN KEY(row_file) REFERENCES file (id), 
	FOREIGN KEY(row_opened) REFERENCES audit (seq), 
	FOREIGN KEY(row_closed) REFERENCES audit (seq)
)
 STRICT

;
INSERT INTO "features" VALUES(1,'sub-01','ses-1',-3.0,'fc_default_default',0.25,0.05,NULL,1,NULL,NULL,7,1,X'8FD35BE8F83C6B80FAFD92C354D54CE197A27D6E7A2E2275B1E05C0D191FD5F6',12,NULL);
INSERT INTO "features" VALUES(2,'sub-01','ses-1',-3.0,'vol_hippocampus',NULL,NULL,NULL,0,'no T1w',NULL,7,2,X'1DAFFF40DC3B44C69876857A8FBB2D25D1313E19DB8887C3A5C76E655612A100',12,NULL);
CREATE TABLE file (
	id INTEGER NOT NULL, 
	table_name TEXT NOT NULL, 
	path TEXT NOT NULL, 
	sha256 TEXT, 
	content TEXT, 
	changed INTEGER NOT NULL, 
	PRIMARY KEY (id), 
	CONSTRAINT file_once UNIQUE (table_name, path), 
	FOREIGN KEY(changed) REFERENCES audit (seq)
)
 STRICT

;
INSERT INTO "file" VALUES(1,'participants','participants.tsv','554184689e103fab644c24a57bebcada45a35ce29c81015c2daca78eafd3a4f6','0a571b645bf35d24eba266f8968f2e3df99582042dbdd62497e95d21fcfb182b',2);
INSERT INTO "file" VALUES(2,'sessions','sub-01/sub-01_sessions.tsv','373824da3b807e982f991a5cad5a691f998ef98298e768ed5b71ff1422e3c47d','b5f332583546f24fcba362b99045ccf34cd1928459e126f8cb98be6d427d49b0',3);
INSERT INTO "file" VALUES(3,'symptoms','phenotype/hdrs17.tsv','f7d04b99e7e5a60ec65bef0c1036cfd0d9b7ac744c07ab9c064a6ec5aa661b9a','921524edeb0e88fc655f1bef4787c4d31f270091282c9fa39d7d13f7f9e62c68',4);
INSERT INTO "file" VALUES(4,'medication','phenotype/medication.tsv','0f4ee3837b5ee73258a50ddb32d0327b4d3ffc39c89f9ad79c9121876fa929a2','d10ac28d8e542a978f27cc62ab5ed6db13c023c3717bca3818a47cb939104ed3',5);
INSERT INTO "file" VALUES(5,'ema','phenotype/ema.tsv','724ed8d9d9353c4fd0c9933c49e43497651c641a68dc60b4b1249b7114f38d76','c465e48cf247831f28081cd108d78c5238cef72c9c135fbf31fd25ce4be4e4d2',9);
INSERT INTO "file" VALUES(6,'problems','read',NULL,'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',10);
INSERT INTO "file" VALUES(7,'features','sub-01/ses-1','cafe','d39c19ef4707ece941f125f27f417b5b0b51604e8ea688ca6d513cf2d6968dd6',12);
CREATE TABLE forecasts (
	row_id INTEGER NOT NULL, 
	participant_id TEXT, 
	"plan" TEXT, 
	day REAL, 
	horizon_days REAL, 
	relapse_mean REAL, 
	relapse_lower REAL, 
	relapse_upper REAL, 
	row_extra TEXT, 
	row_file INTEGER NOT NULL, 
	row_line INTEGER NOT NULL, 
	row_hash BLOB NOT NULL, 
	row_opened INTEGER NOT NULL, 
	row_closed INTEGER, 
	PRIMARY KEY (row_id), 
	FOREIGN KEY(row_file) REFERENCES file (id), 
	FOREIGN KEY(row_opened) REFERENCES audit (seq), 
	FOREIGN KEY(row_closed) REFERENCES audit (seq)
)
 STRICT

;
CREATE TABLE labs (
	row_id INTEGER NOT NULL, 
	participant_id TEXT, 
	day REAL, 
	analyte TEXT, 
	value REAL, 
	unit TEXT, 
	row_extra TEXT, 
	row_file INTEGER NOT NULL, 
	row_line INTEGER NOT NULL, 
	row_hash BLOB NOT NULL, 
	row_opened INTEGER NOT NULL, 
	row_closed INTEGER, 
	PRIMARY KEY (row_id), 
	FOREIGN KEY(row_file) REFERENCES file (id), 
	FOREIGN KEY(row_opened) REFERENCES audit (seq), 
	FOREIGN KEY(row_closed) REFERENCES audit (seq)
)
 STRICT

;
CREATE TABLE mechanisms (
	row_id INTEGER NOT NULL, 
	participant_id TEXT, 
	mechanism TEXT, 
	probability REAL, 
	log_evidence REAL, 
	identifiable INTEGER, 
	row_extra TEXT, 
	row_file INTEGER NOT NULL, 
	row_line INTEGER NOT NULL, 
	row_hash BLOB NOT NULL, 
	row_opened INTEGER NOT NULL, 
	row_closed INTEGER, 
	PRIMARY KEY (row_id), 
	FOREIGN KEY(row_file) REFERENCES file (id), 
	FOREIGN KEY(row_opened) REFERENCES audit (seq), 
	FOREIGN KEY(row_closed) REFERENCES audit (seq)
)
 STRICT

;
CREATE TABLE medication (
	row_id INTEGER NOT NULL, 
	participant_id TEXT, 
	drug TEXT, 
	dose_mg_day REAL, 
	start_day REAL, 
	stop_day REAL, 
	row_extra TEXT, 
	row_file INTEGER NOT NULL, 
	row_line INTEGER NOT NULL, 
	row_hash BLOB NOT NULL, 
	row_opened INTEGER NOT NULL, 
	row_closed INTEGER, 
	PRIMARY KEY (row_id), 
	FOREIGN KEY(row_file) REFERENCES file (id), 
	FOREIGN KEY(row_opened) REFERENCES audit (seq), 
	FOREIGN KEY(row_closed) REFERENCES audit (seq)
)
 STRICT

;
INSERT INTO "medication" VALUES(1,'sub-01','nortriptyline',75.0,0.0,NULL,NULL,4,2,X'B7B4424276C81F2768C4CC5B5CCEE7B3C1BDFCA66F128B8B6421ECC52885C661',5,NULL);
CREATE TABLE meta (
	"key" TEXT NOT NULL, 
	value TEXT NOT NULL, 
	PRIMARY KEY ("key")
)
 STRICT

;
INSERT INTO "meta" VALUES('salt','9edaf869f53547797144b82ce8b6639c6d1508ff90253b24a71faed52e661b0c');
INSERT INTO "meta" VALUES('head','12:b79afcef068ee3e192a73bda1af126b1c0cf8a7e4b4f0e17b681f9b3f1d7f264');
INSERT INTO "meta" VALUES('shape','64da3a59');
CREATE TABLE participants (
	row_id INTEGER NOT NULL, 
	participant_id TEXT, 
	age REAL, 
	sex TEXT, 
	site TEXT, 
	diagnosis TEXT, 
	education_years REAL, 
	premorbid_iq REAL, 
	prs_mdd REAL, 
	row_extra TEXT, 
	row_file INTEGER NOT NULL, 
	row_line INTEGER NOT NULL, 
	row_hash BLOB NOT NULL, 
	row_opened INTEGER NOT NULL, 
	row_closed INTEGER, 
	PRIMARY KEY (row_id), 
	FOREIGN KEY(row_file) REFERENCES file (id), 
	FOREIGN KEY(row_opened) REFERENCES audit (seq), 
	FOREIGN KEY(row_closed) REFERENCES audit (seq)
)
 STRICT

;
INSERT INTO "participants" VALUES(1,'sub-01',47.0,'F','A','mdd',NULL,NULL,NULL,NULL,1,2,X'72B13BADA433C6FE3C80DCB23E938565B67A6C94273D2E904D18FBF4DBB5E92F',2,NULL);
INSERT INTO "participants" VALUES(2,'sub-02',61.5,'M',NULL,NULL,NULL,NULL,NULL,NULL,1,3,X'421C6EB58717989C7A69B88C61733968D3385F013DD24F13E082C6B9FE9337F4',2,NULL);
CREATE TABLE pet (
	row_id INTEGER NOT NULL, 
	participant_id TEXT, 
	day REAL, 
	measure TEXT, 
	region TEXT, 
	value REAL, 
	row_extra TEXT, 
	row_file INTEGER NOT NULL, 
	row_line INTEGER NOT NULL, 
	row_hash BLOB NOT NULL, 
	row_opened INTEGER NOT NULL, 
	row_closed INTEGER, 
	PRIMARY KEY (row_id), 
	FOREIGN KEY(row_file) REFERENCES file (id), 
	FOREIGN KEY(row_opened) REFERENCES audit (seq), 
	FOREIGN KEY(row_closed) REFERENCES audit (seq)
)
 STRICT

;
CREATE TABLE plans (
	row_id INTEGER NOT NULL, 
	participant_id TEXT, 
	day REAL, 
	advice TEXT, 
	reasons TEXT, 
	missing TEXT, 
	row_extra TEXT, 
	row_file INTEGER NOT NULL, 
	row_line INTEGER NOT NULL, 
	row_hash BLOB NOT NULL, 
	row_opened INTEGER NOT NULL, 
	row_closed INTEGER, 
	PRIMARY KEY (row_id), 
	FOREIGN KEY(row_file) REFERENCES file (id), 
	FOREIGN KEY(row_opened) REFERENCES audit (seq), 
	FOREIGN KEY(row_closed) REFERENCES audit (seq)
)
 STRICT

;
CREATE TABLE problems (
	row_id INTEGER NOT NULL, 
	file TEXT, 
	"row" INTEGER, 
	"column" TEXT, 
	problem TEXT, 
	action TEXT, 
	row_extra TEXT, 
	row_file INTEGER NOT NULL, 
	row_line INTEGER NOT NULL, 
	row_hash BLOB NOT NULL, 
	row_opened INTEGER NOT NULL, 
	row_closed INTEGER, 
	PRIMARY KEY (row_id), 
	FOREIGN KEY(row_file) REFERENCES file (id), 
	FOREIGN KEY(row_opened) REFERENCES audit (seq), 
	FOREIGN KEY(row_closed) REFERENCES audit (seq)
)
 STRICT

;
INSERT INTO "problems" VALUES(1,'phenotype/ema.tsv',9,'day','is not a number','set_aside',NULL,6,1,X'B6F170648ECBF3D9925AEE56ECFE83C6686B0A74FA42D5A44A84B175BF2EB5AB',7,10);
CREATE TABLE remanence (
	row_id INTEGER NOT NULL, 
	participant_id TEXT, 
	day REAL, 
	horizon_days REAL, 
	remanence_mean REAL, 
	remanence_lower REAL, 
	remanence_upper REAL, 
	hold_mean REAL, 
	hold_lower REAL, 
	hold_upper REAL, 
	row_extra TEXT, 
	row_file INTEGER NOT NULL, 
	row_line INTEGER NOT NULL, 
	row_hash BLOB NOT NULL, 
	row_opened INTEGER NOT NULL, 
	row_closed INTEGER, 
	PRIMARY KEY (row_id), 
	FOREIGN KEY(row_file) REFERENCES file (id), 
	FOREIGN KEY(row_opened) REFERENCES audit (seq), 
	FOREIGN KEY(row_closed) REFERENCES audit (seq)
)
 STRICT

;
CREATE TABLE sessions (
	row_id INTEGER NOT NULL, 
	participant_id TEXT, 
	session_id TEXT, 
	day REAL, 
	row_extra TEXT, 
	row_file INTEGER NOT NULL, 
	row_line INTEGER NOT NULL, 
	row_hash BLOB NOT NULL, 
	row_opened INTEGER NOT NULL, 
	row_closed INTEGER, 
	PRIMARY KEY (row_id), 
	FOREIGN KEY(row_file) REFERENCES file (id), 
	FOREIGN KEY(row_opened) REFERENCES audit (seq), 
	FOREIGN KEY(row_closed) REFERENCES audit (seq)
)
 STRICT

;
INSERT INTO "sessions" VALUES(1,'sub-01','ses-1',-3.0,NULL,2,2,X'22A44D6DB33BE5D9994A89F59A76DC375FE9F51A44D4B4059626D97EDD49BE53',3,NULL);
CREATE TABLE sleep (
	row_id INTEGER NOT NULL, 
	participant_id TEXT, 
	day REAL, 
	measure TEXT, 
	value REAL, 
	row_extra TEXT, 
	row_file INTEGER NOT NULL, 
	row_line INTEGER NOT NULL, 
	row_hash BLOB NOT NULL, 
	row_opened INTEGER NOT NULL, 
	row_closed INTEGER, 
	PRIMARY KEY (row_id), 
	FOREIGN KEY(row_file) REFERENCES file (id), 
	FOREIGN KEY(row_opened) REFERENCES audit (seq), 
	FOREIGN KEY(row_closed) REFERENCES audit (seq)
)
 STRICT

;
CREATE TABLE states (
	row_id INTEGER NOT NULL, 
	participant_id TEXT, 
	day REAL, 
	function_mean REAL, 
	function_sd REAL, 
	structure_mean REAL, 
	structure_sd REAL, 
	withdrawal_mean REAL, 
	row_extra TEXT, 
	row_file INTEGER NOT NULL, 
	row_line INTEGER NOT NULL, 
	row_hash BLOB NOT NULL, 
	row_opened INTEGER NOT NULL, 
	row_closed INTEGER, 
	PRIMARY KEY (row_id), 
	FOREIGN KEY(row_file) REFERENCES file (id), 
	FOREIGN KEY(row_opened) REFERENCES audit (seq), 
	FOREIGN KEY(row_closed) REFERENCES audit (seq)
)
 STRICT

;
CREATE TABLE symptoms (
	row_id INTEGER NOT NULL, 
	participant_id TEXT, 
	day REAL, 
	instrument TEXT, 
	value REAL, 
	row_extra TEXT, 
	row_file INTEGER NOT NULL, 
	row_line INTEGER NOT NULL, 
	row_hash BLOB NOT NULL, 
	row_opened INTEGER NOT NULL, 
	row_closed INTEGER, 
	PRIMARY KEY (row_id), 
	FOREIGN KEY(row_file) REFERENCES file (id), 
	FOREIGN KEY(row_opened) REFERENCES audit (seq), 
	FOREIGN KEY(row_closed) REFERENCES audit (seq)
)
 STRICT

;
INSERT INTO "symptoms" VALUES(1,'sub-01',0.0,'hdrs17',6.0,NULL,3,2,X'2F96DFF736128E3C0F274FF40F4A44A95A25A81817AC07B4AC51DC242930307B',4,NULL);
INSERT INTO "symptoms" VALUES(2,'sub-02',0.5,'hdrs17',21.0,NULL,3,3,X'01A42C1B98FAEB22C24B5FFFC732ACFD63A2468F70D28A2AAD887CF631FE6636',4,NULL);
CREATE INDEX participants_file ON participants (row_file);
CREATE INDEX sessions_file ON sessions (row_file);
CREATE INDEX symptoms_file ON symptoms (row_file);
CREATE INDEX medication_file ON medication (row_file);
CREATE INDEX ect_file ON ect (row_file);
CREATE INDEX labs_file ON labs (row_file);
CREATE INDEX sleep_file ON sleep (row_file);
CREATE INDEX events_file ON events (row_file);
CREATE INDEX ema_file ON ema (row_file);
CREATE INDEX pet_file ON pet (row_file);
CREATE INDEX eeg_file ON eeg (row_file);
CREATE INDEX problems_file ON problems (row_file);
CREATE INDEX features_file ON features (row_file);
CREATE INDEX states_file ON states (row_file);
CREATE INDEX mechanisms_file ON mechanisms (row_file);
CREATE INDEX remanence_file ON remanence (row_file);
CREATE INDEX forecasts_file ON forecasts (row_file);
CREATE INDEX plans_file ON plans (row_file);
CREATE INDEX artifact_file ON artifact (row_file);
CREATE TRIGGER "meta_no_update" BEFORE UPDATE OF "key" ON "meta" FOR EACH ROW BEGIN SELECT RAISE(ABORT, 'the record keeps its history: rows are closed, never changed or deleted'); END;
CREATE TRIGGER "meta_no_delete" BEFORE DELETE ON "meta" FOR EACH ROW BEGIN SELECT RAISE(ABORT, 'the record keeps its history: rows are closed, never changed or deleted'); END;
CREATE TRIGGER "audit_no_update" BEFORE UPDATE OF "seq", "at", "who", "code_version", "run", "seed", "action", "subject", "detail", "previous", "hash" ON "audit" FOR EACH ROW BEGIN SELECT RAISE(ABORT, 'the record keeps its history: rows are closed, never changed or deleted'); END;
CREATE TRIGGER "audit_no_delete" BEFORE DELETE ON "audit" FOR EACH ROW BEGIN SELECT RAISE(ABORT, 'the record keeps its history: rows are closed, never changed or deleted'); END;
CREATE TRIGGER "file_no_update" BEFORE UPDATE OF "id", "table_name", "path" ON "file" FOR EACH ROW BEGIN SELECT RAISE(ABORT, 'the record keeps its history: rows are closed, never changed or deleted'); END;
CREATE TRIGGER "file_no_delete" BEFORE DELETE ON "file" FOR EACH ROW BEGIN SELECT RAISE(ABORT, 'the record keeps its history: rows are closed, never changed or deleted'); END;
CREATE TRIGGER "participants_no_update" BEFORE UPDATE OF "row_id", "participant_id", "age", "sex", "site", "diagnosis", "education_years", "premorbid_iq", "prs_mdd", "row_extra", "row_file", "row_hash", "row_opened" ON "participants" FOR EACH ROW BEGIN SELECT RAISE(ABORT, 'the record keeps its history: rows are closed, never changed or deleted'); END;
CREATE TRIGGER "participants_no_delete" BEFORE DELETE ON "participants" FOR EACH ROW BEGIN SELECT RAISE(ABORT, 'the record keeps its history: rows are closed, never changed or deleted'); END;
CREATE TRIGGER "sessions_no_update" BEFORE UPDATE OF "row_id", "participant_id", "session_id", "day", "row_extra", "row_file", "row_hash", "row_opened" ON "sessions" FOR EACH ROW BEGIN SELECT RAISE(ABORT, 'the record keeps its history: rows are closed, never changed or deleted'); END;
CREATE TRIGGER "sessions_no_delete" BEFORE DELETE ON "sessions" FOR EACH ROW BEGIN SELECT RAISE(ABORT, 'the record keeps its history: rows are closed, never changed or deleted'); END;
CREATE TRIGGER "symptoms_no_update" BEFORE UPDATE OF "row_id", "participant_id", "day", "instrument", "value", "row_extra", "row_file", "row_hash", "row_opened" ON "symptoms" FOR EACH ROW BEGIN SELECT RAISE(ABORT, 'the record keeps its history: rows are closed, never changed or deleted'); END;
CREATE TRIGGER "symptoms_no_delete" BEFORE DELETE ON "symptoms" FOR EACH ROW BEGIN SELECT RAISE(ABORT, 'the record keeps its history: rows are closed, never changed or deleted'); END;
CREATE TRIGGER "medication_no_update" BEFORE UPDATE OF "row_id", "participant_id", "drug", "dose_mg_day", "start_day", "stop_day", "row_extra", "row_file", "row_hash", "row_opened" ON "medication" FOR EACH ROW BEGIN SELECT RAISE(ABORT, 'the record keeps its history: rows are closed, never changed or deleted'); END;
CREATE TRIGGER "medication_no_delete" BEFORE DELETE ON "medication" FOR EACH ROW BEGIN SELECT RAISE(ABORT, 'the record keeps its history: rows are closed, never changed or deleted'); END;
CREATE TRIGGER "ect_no_update" BEFORE UPDATE OF "row_id", "participant_id", "day", "placement", "pulse_width_ms", "charge_mC", "seizure_s", "row_extra", "row_file", "row_hash", "row_opened" ON "ect" FOR EACH ROW BEGIN SELECT RAISE(ABORT, 'the record keeps its history: rows are closed, never changed or deleted'); END;
CREATE TRIGGER "ect_no_delete" BEFORE DELETE ON "ect" FOR EACH ROW BEGIN SELECT RAISE(ABORT, 'the record keeps its history: rows are closed, never changed or deleted'); END;
CREATE TRIGGER "labs_no_update" BEFORE UPDATE OF "row_id", "participant_id", "day", "analyte", "value", "unit", "row_extra", "row_file", "row_hash", "row_opened" ON "labs" FOR EACH ROW BEGIN SELECT RAISE(ABORT, 'the record keeps its history: rows are closed, never changed or deleted'); END;
CREATE TRIGGER "labs_no_delete" BEFORE DELETE ON "labs" FOR EACH ROW BEGIN SELECT RAISE(ABORT, 'the record keeps its history: rows are closed, never changed or deleted'); END;
CREATE TRIGGER "sleep_no_update" BEFORE UPDATE OF "row_id", "participant_id", "day", "measure", "value", "row_extra", "row_file", "row_hash", "row_opened" ON "sleep" FOR EACH ROW BEGIN SELECT RAISE(ABORT, 'the record keeps its history: rows are closed, never changed or deleted'); END;
CREATE TRIGGER "sleep_no_delete" BEFORE DELETE ON "sleep" FOR EACH ROW BEGIN SELECT RAISE(ABORT, 'the record keeps its history: rows are closed, never changed or deleted'); END;
CREATE TRIGGER "events_no_update" BEFORE UPDATE OF "row_id", "participant_id", "day", "event", "detail", "row_extra", "row_file", "row_hash", "row_opened" ON "events" FOR EACH ROW BEGIN SELECT RAISE(ABORT, 'the record keeps its history: rows are closed, never changed or deleted'); END;
CREATE TRIGGER "events_no_delete" BEFORE DELETE ON "events" FOR EACH ROW BEGIN SELECT RAISE(ABORT, 'the record keeps its history: rows are closed, never changed or deleted'); END;
CREATE TRIGGER "ema_no_update" BEFORE UPDATE OF "row_id", "participant_id", "day", "item", "value", "row_extra", "row_file", "row_hash", "row_opened" ON "ema" FOR EACH ROW BEGIN SELECT RAISE(ABORT, 'the record keeps its history: rows are closed, never changed or deleted'); END;
CREATE TRIGGER "ema_no_delete" BEFORE DELETE ON "ema" FOR EACH ROW BEGIN SELECT RAISE(ABORT, 'the record keeps its history: rows are closed, never changed or deleted'); END;
CREATE TRIGGER "pet_no_update" BEFORE UPDATE OF "row_id", "participant_id", "day", "measure", "region", "value", "row_extra", "row_file", "row_hash", "row_opened" ON "pet" FOR EACH ROW BEGIN SELECT RAISE(ABORT, 'the record keeps its history: rows are closed, never changed or deleted'); END;
CREATE TRIGGER "pet_no_delete" BEFORE DELETE ON "pet" FOR EACH ROW BEGIN SELECT RAISE(ABORT, 'the record keeps its history: rows are closed, never changed or deleted'); END;
CREATE TRIGGER "eeg_no_update" BEFORE UPDATE OF "row_id", "participant_id", "day", "measure", "region", "value", "row_extra", "row_file", "row_hash", "row_opened" ON "eeg" FOR EACH ROW BEGIN SELECT RAISE(ABORT, 'the record keeps its history: rows are closed, never changed or deleted'); END;
CREATE TRIGGER "eeg_no_delete" BEFORE DELETE ON "eeg" FOR EACH ROW BEGIN SELECT RAISE(ABORT, 'the record keeps its history: rows are closed, never changed or deleted'); END;
CREATE TRIGGER "problems_no_update" BEFORE UPDATE OF "row_id", "file", "row", "column", "problem", "action", "row_extra", "row_file", "row_hash", "row_opened" ON "problems" FOR EACH ROW BEGIN SELECT RAISE(ABORT, 'the record keeps its history: rows are closed, never changed or deleted'); END;
CREATE TRIGGER "problems_no_delete" BEFORE DELETE ON "problems" FOR EACH ROW BEGIN SELECT RAISE(ABORT, 'the record keeps its history: rows are closed, never changed or deleted'); END;
CREATE TRIGGER "features_no_update" BEFORE UPDATE OF "row_id", "participant_id", "session_id", "day", "feature", "value", "se", "z", "usable", "reason", "row_extra", "row_file", "row_hash", "row_opened" ON "features" FOR EACH ROW BEGIN SELECT RAISE(ABORT, 'the record keeps its history: rows are closed, never changed or deleted'); END;
CREATE TRIGGER "features_no_delete" BEFORE DELETE ON "features" FOR EACH ROW BEGIN SELECT RAISE(ABORT, 'the record keeps its history: rows are closed, never changed or deleted'); END;
CREATE TRIGGER "states_no_update" BEFORE UPDATE OF "row_id", "participant_id", "day", "function_mean", "function_sd", "structure_mean", "structure_sd", "withdrawal_mean", "row_extra", "row_file", "row_hash", "row_opened" ON "states" FOR EACH ROW BEGIN SELECT RAISE(ABORT, 'the record keeps its history: rows are closed, never changed or deleted'); END;
CREATE TRIGGER "states_no_delete" BEFORE DELETE ON "states" FOR EACH ROW BEGIN SELECT RAISE(ABORT, 'the record keeps its history: rows are closed, never changed or deleted'); END;
CREATE TRIGGER "mechanisms_no_update" BEFORE UPDATE OF "row_id", "participant_id", "mechanism", "probability", "log_evidence", "identifiable", "row_extra", "row_file", "row_hash", "row_opened" ON "mechanisms" FOR EACH ROW BEGIN SELECT RAISE(ABORT, 'the record keeps its history: rows are closed, never changed or deleted'); END;
CREATE TRIGGER "mechanisms_no_delete" BEFORE DELETE ON "mechanisms" FOR EACH ROW BEGIN SELECT RAISE(ABORT, 'the record keeps its history: rows are closed, never changed or deleted'); END;
CREATE TRIGGER "remanence_no_update" BEFORE UPDATE OF "row_id", "participant_id", "day", "horizon_days", "remanence_mean", "remanence_lower", "remanence_upper", "hold_mean", "hold_lower", "hold_upper", "row_extra", "row_file", "row_hash", "row_opened" ON "remanence" FOR EACH ROW BEGIN SELECT RAISE(ABORT, 'the record keeps its history: rows are closed, never changed or deleted'); END;
CREATE TRIGGER "remanence_no_delete" BEFORE DELETE ON "remanence" FOR EACH ROW BEGIN SELECT RAISE(ABORT, 'the record keeps its history: rows are closed, never changed or deleted'); END;
CREATE TRIGGER "forecasts_no_update" BEFORE UPDATE OF "row_id", "participant_id", "plan", "day", "horizon_days", "relapse_mean", "relapse_lower", "relapse_upper", "row_extra", "row_file", "row_hash", "row_opened" ON "forecasts" FOR EACH ROW BEGIN SELECT RAISE(ABORT, 'the record keeps its history: rows are closed, never changed or deleted'); END;
CREATE TRIGGER "forecasts_no_delete" BEFORE DELETE ON "forecasts" FOR EACH ROW BEGIN SELECT RAISE(ABORT, 'the record keeps its history: rows are closed, never changed or deleted'); END;
CREATE TRIGGER "plans_no_update" BEFORE UPDATE OF "row_id", "participant_id", "day", "advice", "reasons", "missing", "row_extra", "row_file", "row_hash", "row_opened" ON "plans" FOR EACH ROW BEGIN SELECT RAISE(ABORT, 'the record keeps its history: rows are closed, never changed or deleted'); END;
CREATE TRIGGER "plans_no_delete" BEFORE DELETE ON "plans" FOR EACH ROW BEGIN SELECT RAISE(ABORT, 'the record keeps its history: rows are closed, never changed or deleted'); END;
CREATE TRIGGER "artifact_no_update" BEFORE UPDATE OF "row_id", "path", "sha256", "row_extra", "row_file", "row_hash", "row_opened" ON "artifact" FOR EACH ROW BEGIN SELECT RAISE(ABORT, 'the record keeps its history: rows are closed, never changed or deleted'); END;
CREATE TRIGGER "artifact_no_delete" BEFORE DELETE ON "artifact" FOR EACH ROW BEGIN SELECT RAISE(ABORT, 'the record keeps its history: rows are closed, never changed or deleted'); END;
CREATE TRIGGER "participants_no_reopen" BEFORE UPDATE OF row_closed ON "participants" FOR EACH ROW WHEN (OLD.row_closed IS NOT NULL) BEGIN SELECT RAISE(ABORT, 'the record keeps its history: rows are closed, never changed or deleted'); END;
CREATE TRIGGER "sessions_no_reopen" BEFORE UPDATE OF row_closed ON "sessions" FOR EACH ROW WHEN (OLD.row_closed IS NOT NULL) BEGIN SELECT RAISE(ABORT, 'the record keeps its history: rows are closed, never changed or deleted'); END;
CREATE TRIGGER "symptoms_no_reopen" BEFORE UPDATE OF row_closed ON "symptoms" FOR EACH ROW WHEN (OLD.row_closed IS NOT NULL) BEGIN SELECT RAISE(ABORT, 'the record keeps its history: rows are closed, never changed or deleted'); END;
CREATE TRIGGER "medication_no_reopen" BEFORE UPDATE OF row_closed ON "medication" FOR EACH ROW WHEN (OLD.row_closed IS NOT NULL) BEGIN SELECT RAISE(ABORT, 'the record keeps its history: rows are closed, never changed or deleted'); END;
CREATE TRIGGER "ect_no_reopen" BEFORE UPDATE OF row_closed ON "ect" FOR EACH ROW WHEN (OLD.row_closed IS NOT NULL) BEGIN SELECT RAISE(ABORT, 'the record keeps its history: rows are closed, never changed or deleted'); END;
CREATE TRIGGER "labs_no_reopen" BEFORE UPDATE OF row_closed ON "labs" FOR EACH ROW WHEN (OLD.row_closed IS NOT NULL) BEGIN SELECT RAISE(ABORT, 'the record keeps its history: rows are closed, never changed or deleted'); END;
CREATE TRIGGER "sleep_no_reopen" BEFORE UPDATE OF row_closed ON "sleep" FOR EACH ROW WHEN (OLD.row_closed IS NOT NULL) BEGIN SELECT RAISE(ABORT, 'the record keeps its history: rows are closed, never changed or deleted'); END;
CREATE TRIGGER "events_no_reopen" BEFORE UPDATE OF row_closed ON "events" FOR EACH ROW WHEN (OLD.row_closed IS NOT NULL) BEGIN SELECT RAISE(ABORT, 'the record keeps its history: rows are closed, never changed or deleted'); END;
CREATE TRIGGER "ema_no_reopen" BEFORE UPDATE OF row_closed ON "ema" FOR EACH ROW WHEN (OLD.row_closed IS NOT NULL) BEGIN SELECT RAISE(ABORT, 'the record keeps its history: rows are closed, never changed or deleted'); END;
CREATE TRIGGER "pet_no_reopen" BEFORE UPDATE OF row_closed ON "pet" FOR EACH ROW WHEN (OLD.row_closed IS NOT NULL) BEGIN SELECT RAISE(ABORT, 'the record keeps its history: rows are closed, never changed or deleted'); END;
CREATE TRIGGER "eeg_no_reopen" BEFORE UPDATE OF row_closed ON "eeg" FOR EACH ROW WHEN (OLD.row_closed IS NOT NULL) BEGIN SELECT RAISE(ABORT, 'the record keeps its history: rows are closed, never changed or deleted'); END;
CREATE TRIGGER "problems_no_reopen" BEFORE UPDATE OF row_closed ON "problems" FOR EACH ROW WHEN (OLD.row_closed IS NOT NULL) BEGIN SELECT RAISE(ABORT, 'the record keeps its history: rows are closed, never changed or deleted'); END;
CREATE TRIGGER "features_no_reopen" BEFORE UPDATE OF row_closed ON "features" FOR EACH ROW WHEN (OLD.row_closed IS NOT NULL) BEGIN SELECT RAISE(ABORT, 'the record keeps its history: rows are closed, never changed or deleted'); END;
CREATE TRIGGER "states_no_reopen" BEFORE UPDATE OF row_closed ON "states" FOR EACH ROW WHEN (OLD.row_closed IS NOT NULL) BEGIN SELECT RAISE(ABORT, 'the record keeps its history: rows are closed, never changed or deleted'); END;
CREATE TRIGGER "mechanisms_no_reopen" BEFORE UPDATE OF row_closed ON "mechanisms" FOR EACH ROW WHEN (OLD.row_closed IS NOT NULL) BEGIN SELECT RAISE(ABORT, 'the record keeps its history: rows are closed, never changed or deleted'); END;
CREATE TRIGGER "remanence_no_reopen" BEFORE UPDATE OF row_closed ON "remanence" FOR EACH ROW WHEN (OLD.row_closed IS NOT NULL) BEGIN SELECT RAISE(ABORT, 'the record keeps its history: rows are closed, never changed or deleted'); END;
CREATE TRIGGER "forecasts_no_reopen" BEFORE UPDATE OF row_closed ON "forecasts" FOR EACH ROW WHEN (OLD.row_closed IS NOT NULL) BEGIN SELECT RAISE(ABORT, 'the record keeps its history: rows are closed, never changed or deleted'); END;
CREATE TRIGGER "plans_no_reopen" BEFORE UPDATE OF row_closed ON "plans" FOR EACH ROW WHEN (OLD.row_closed IS NOT NULL) BEGIN SELECT RAISE(ABORT, 'the record keeps its history: rows are closed, never changed or deleted'); END;
CREATE TRIGGER "artifact_no_reopen" BEFORE UPDATE OF row_closed ON "artifact" FOR EACH ROW WHEN (OLD.row_closed IS NOT NULL) BEGIN SELECT RAISE(ABORT, 'the record keeps its history: rows are closed, never changed or deleted'); END;
CREATE TRIGGER "audit_no_replace" BEFORE INSERT ON "audit" FOR EACH ROW WHEN (EXISTS (SELECT 1 FROM audit WHERE seq = NEW.seq)) BEGIN SELECT RAISE(ABORT, 'the record keeps its history: rows are closed, never changed or deleted'); END;
COMMIT;
