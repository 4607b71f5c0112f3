-- What lists show and search, copied into the code's row from `channel` so that a list reads one index. `channel` is where
-- names are kept: it outlives the code of a temporary scene. Both are written in one transaction.
-- `label_sort` orders names as people do, byte by byte; `folded_names` and `folded_scene` are folded for searches. They are
-- computed by the service, which fills them for older rows when it opens the database. `folded_scene` is NULL where it is `scene`.
ALTER TABLE code ADD COLUMN created_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE code ADD COLUMN created_by TEXT;
ALTER TABLE code ADD COLUMN label TEXT;
ALTER TABLE code ADD COLUMN group_name TEXT;
ALTER TABLE code ADD COLUMN archived BIGINT NOT NULL DEFAULT 0;
ALTER TABLE code ADD COLUMN label_sort BYTEA;
ALTER TABLE code ADD COLUMN folded_names TEXT;
ALTER TABLE code ADD COLUMN folded_scene TEXT;
UPDATE code SET created_at = minted_at;

ALTER TABLE channel ADD COLUMN archived BIGINT NOT NULL DEFAULT 0;
ALTER TABLE channel ADD COLUMN label_sort BYTEA;
ALTER TABLE channel ADD COLUMN folded_names TEXT;
DROP INDEX channel_by_label;

-- One for each order of a list, with all that a list filters by: 100,000 codes are counted and searched without their rows.
CREATE INDEX code_by_scene ON code (appid, kind, scene, archived, expires_at, folded_scene, folded_names);
CREATE INDEX code_by_creation ON code (appid, created_at, kind, scene, archived, expires_at, folded_scene, folded_names);
CREATE INDEX code_by_label ON code (appid, label_sort, kind, scene, archived, expires_at, folded_scene, folded_names)
    WHERE label_sort IS NOT NULL;
CREATE INDEX code_without_label ON code (appid, kind, scene, archived, expires_at, folded_scene, folded_names, label_sort)
    WHERE label_sort IS NULL;
CREATE INDEX code_by_group ON code (appid, group_name, kind, scene, archived, expires_at, folded_scene, folded_names, label_sort, created_at)
    WHERE group_name IS NOT NULL;
