"""A small site with a "Report" button, which uses the service only through `contracts/`.

`python -m examples.gallery` starts it with a private server and the service. All modules except `__main__`
and `service_process` import only the standard library, redis, starlette, sse-starlette, jinja2, uvicorn, and
markupsafe and h11, which jinja2 and uvicorn are built on.
"""
