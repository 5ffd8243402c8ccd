# plexus for the processor; without arguments it runs the demo: docker build -t plexus . && docker run --rm plexus
FROM python:3.12-slim AS wheel
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /dist .

FROM python:3.12-slim
COPY constraints.txt /tmp/
COPY --from=wheel /dist /dist
# torch from its own index, before plexus: the one on PyPI brings gigabytes of CUDA
RUN pip install --no-cache-dir -c /tmp/constraints.txt --index-url https://download.pytorch.org/whl/cpu torch \
 && pip install --no-cache-dir -c /tmp/constraints.txt /dist/*.whl \
 && rm -r /dist /tmp/constraints.txt
RUN useradd --create-home --uid 1000 plexus && mkdir /photos && chown plexus /photos
USER plexus
WORKDIR /photos
ENTRYPOINT ["plexus"]
CMD ["fit", "digits", "--run", "runs/digits"]
