# The product in one image; the command says which process it is: migrate, serve, work ...
FROM python:3.12-slim

# Without it Python would look for modules in the folder a command is started in.
ENV PYTHONSAFEPATH=1 \
    PYTHONUNBUFFERED=1

WORKDIR /usr/src/daybook
COPY pyproject.toml README.md LICENSE ./
COPY domain domain
COPY projections projections
COPY workers workers
COPY api api
COPY migrations migrations
RUN pip install --no-cache-dir .

RUN useradd --create-home daybook
USER daybook
WORKDIR /home/daybook

ENTRYPOINT ["daybook"]
