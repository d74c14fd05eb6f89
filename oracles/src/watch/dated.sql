-- Days since 1900. looked: of the last whole look at the feed.
ALTER TABLE watch_feed ADD COLUMN looked BIGINT NOT NULL DEFAULT 0;
-- known: the last on which a reading bore the digest out, or that feeds vouched for before readings began to fail.
ALTER TABLE watch_fact ADD COLUMN known BIGINT NOT NULL DEFAULT 0;
-- since: the last on which the value was known to be the old one.
ALTER TABLE watch_notice ADD COLUMN since BIGINT NOT NULL DEFAULT 0;
