-- The number of the last transaction. When a commit fails, it tells whether that took place after all.
ALTER TABLE registry_state ADD COLUMN batch INTEGER NOT NULL DEFAULT 0;
