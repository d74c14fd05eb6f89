-- The day that an insurer was asked to end a policy on, from before it is asked.
ALTER TABLE gap_policy ADD COLUMN ending_day TEXT;
