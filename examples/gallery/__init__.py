"""A small site with a "Report" button, which knows the service only through `contracts/`.

`python -m examples.gallery` starts it with a private server and the service. Everything here but `__main__`
and `service_process` imports the standard library, redis, starlette, sse-starlette, jinja2 and uvicorn alone.
"""
