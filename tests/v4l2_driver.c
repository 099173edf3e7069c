/* A USB camera for tests: loaded with LD_PRELOAD, it answers in the place of the kernel's V4L2 for one device file.
 *
 * V4L2_DRIVER_FILE  which file is the camera
 * V4L2_DRIVER_PLAN  for each time it is opened, how many pictures come and what then: "20stall 0absent 20unplug ..."
 *
 * Pictures are 64x48 YUYV, one every 5 ms; the n-th has the luma 16 + n.  Times are those of CLOCK_MONOTONIC.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/videodev2.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { WIDTH = 64, HEIGHT = 48, SIZE = WIDTH * HEIGHT * 2, PITCH = 8192, BUFFERS = 4 };

static int camera = -1, opened, left, taken, queued[BUFFERS], waiting;
static char then[16];
static unsigned char *memory;
static long long due_ns;

static long long now_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

/* The part of the plan for this opening; the last one stays. */
static void plan(void) {
    const char *part = getenv("V4L2_DRIVER_PLAN");
    for (int skipped = 0; skipped < opened && strchr(part, ' '); skipped++) part = strchr(part, ' ') + 1;
    char *word;
    left = strtol(part, &word, 10);
    size_t length = strcspn(word, " ");
    memcpy(then, word, length);
    then[length] = 0;
    opened++;
}

static int open_camera(void) {
    plan();
    if (!strcmp(then, "absent")) return errno = ENODEV, -1;
    camera = memfd_create("camera", 0);
    if (ftruncate(camera, BUFFERS * PITCH)) return -1;
    memory = mmap(NULL, BUFFERS * PITCH, PROT_READ | PROT_WRITE, MAP_SHARED, camera, 0);
    taken = waiting = 0;
    due_ns = now_ns();
    return camera;
}

static int open_any(const char *name, const char *path, int flags, int mode) {
    const char *file = getenv("V4L2_DRIVER_FILE");
    if (file && !strcmp(path, file)) return open_camera();
    return ((int (*)(const char *, int, int))dlsym(RTLD_NEXT, name))(path, flags, mode);
}

/* The mode is there only if a file may be made; to read it always does no harm on the machines that tests run on. */
#define OPEN(name)                              \
    int name(const char *path, int flags, ...) {    \
        va_list more;                               \
        va_start(more, flags);                      \
        int mode = va_arg(more, int);               \
        va_end(more);                               \
        return open_any(#name, path, flags, mode);  \
    }
OPEN(open)
OPEN(open64)

static int give_picture(struct v4l2_buffer *buffer) {
    if (!left) return errno = strcmp(then, "unplug") ? EAGAIN : ENODEV, -1;
    if (now_ns() < due_ns || !waiting) return errno = EAGAIN, -1;
    buffer->index = queued[0];
    memmove(queued, queued + 1, --waiting * sizeof *queued);
    for (int pixel = 0; pixel < SIZE; pixel++) memory[buffer->index * PITCH + pixel] = pixel % 2 ? 128 : 16 + taken;
    buffer->bytesused = SIZE;
    buffer->sequence = taken++;
    buffer->flags = V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC;
    buffer->timestamp.tv_sec = due_ns / 1000000000;
    buffer->timestamp.tv_usec = due_ns % 1000000000 / 1000;
    due_ns += 5000000;
    left--;
    return 0;
}

int ioctl(int descriptor, unsigned long request, ...) {
    va_list more;
    va_start(more, request);
    void *what = va_arg(more, void *);
    va_end(more);
    if (descriptor != camera)
        return ((int (*)(int, unsigned long, void *))dlsym(RTLD_NEXT, "ioctl"))(descriptor, request, what);
    struct v4l2_buffer *buffer = what;
    switch ((unsigned)request) {
    case VIDIOC_QUERYCAP:
        ((struct v4l2_capability *)what)->capabilities = V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_STREAMING;
        return 0;
    case VIDIOC_G_FMT: case VIDIOC_S_FMT: case VIDIOC_TRY_FMT: {
        struct v4l2_pix_format *format = &((struct v4l2_format *)what)->fmt.pix;
        *format = (struct v4l2_pix_format){
            .width = WIDTH,
            .height = HEIGHT,
            .pixelformat = V4L2_PIX_FMT_YUYV,
            .field = V4L2_FIELD_NONE,
            .bytesperline = WIDTH * 2,
            .sizeimage = SIZE,
        };
        return 0;
    }
    case VIDIOC_G_PARM: case VIDIOC_S_PARM: {
        struct v4l2_captureparm *parameters = &((struct v4l2_streamparm *)what)->parm.capture;
        parameters->capability = V4L2_CAP_TIMEPERFRAME;
        parameters->timeperframe = (struct v4l2_fract){1, 200};
        return 0;
    }
    case VIDIOC_REQBUFS:
        ((struct v4l2_requestbuffers *)what)->count = BUFFERS;
        return 0;
    case VIDIOC_QUERYBUF:
        buffer->m.offset = buffer->index * PITCH;
        buffer->length = PITCH;
        return 0;
    case VIDIOC_QBUF:
        queued[waiting++] = buffer->index;
        return 0;
    case VIDIOC_DQBUF:
        return give_picture(buffer);
    case VIDIOC_G_INPUT:
        *(int *)what = 0;
        return 0;
    case VIDIOC_STREAMON: case VIDIOC_STREAMOFF: case VIDIOC_S_INPUT: case VIDIOC_ENUMINPUT:
        return 0;
    }
    return errno = EINVAL, -1;
}
