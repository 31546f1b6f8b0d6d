#!lua flags=allow-oom
-- uses: root, replication
-- NOTE_REPLICATION: remember which life of Redis's data this is.
-- ARGV root
note_replication()
