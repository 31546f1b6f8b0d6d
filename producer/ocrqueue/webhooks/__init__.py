"""Webhooks: URLs that are told when a job or a batch has ended, by Standard Webhooks.

The Lua scripts that end jobs leave notices in Redis (`core/scripts/shared/webhooks.lua`). Any number of senders claim
what is due and post it. A tenant has one URL, and one or two secrets, with which what its jobs' own URLs are sent is
signed too.
"""
