# Stands in for the image that holds nothing but uv.
FROM scratch
COPY uv uvx /
