"""Google Cloud Vision v1 (https://cloud.google.com/vision/docs/reference/rest), over REST and gRPC.

annotations.py   a page as the text annotations of an image
statuses.py      errors as google.rpc.Status, and as the body of a REST response
messages.py      requests as Google's own classes, and answers as JSON or as these
asking.py        what a request asks for, in this system's terms
calls.py         images and files that the client waits for
operations.py    images and files that it asks for later
output_files.py  what is stored in the client's bucket
routes.py        REST
wire.py          messages by gRPC, weighed and read
room.py          calls by gRPC, and messages in memory: how many, and of one tenant
grpc_serving.py  gRPC, on a port of its own

Answers are built once, as plain dicts by the names of Google's fields: of these REST's JSON and gRPC's messages are
made. Requests are read by the classes of google-cloud-vision, which is the extra `google`.
"""
