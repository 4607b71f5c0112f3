-- How many digits a scene has that is a number, else 0: of two numbers the longer is the larger, so lists order by it before
-- `scene`, which is a text.
ALTER TABLE code ADD COLUMN scene_digits BIGINT NOT NULL DEFAULT 0;
UPDATE code SET scene_digits = length(scene) WHERE kind IN ('QR_SCENE', 'QR_LIMIT_SCENE');

DROP INDEX code_by_scene;
CREATE INDEX code_by_scene ON code (appid, kind, scene_digits, scene, archived, expires_at, folded_scene, folded_names);
