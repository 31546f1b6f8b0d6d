-- What Redis gives to a script: https://redis.io/docs/latest/develop/programmability/lua-api/
std = "lua51"
read_globals = {"redis", "cjson", "cmsgpack", "struct", "bit", "KEYS", "ARGV"}
max_line_length = 120
