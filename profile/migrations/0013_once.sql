-- One seed is one profile: two would use the same one-time keys.
CREATE UNIQUE INDEX profile_enrol ON profile (enrol_id);

-- A change that is told again while what it brings is being found out is not taken for the earlier one.
ALTER TABLE watch_change ADD COLUMN times BIGINT NOT NULL DEFAULT 1;
