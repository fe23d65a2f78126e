/* USB serial, by the RP2040 datasheet, section 4.1, the USB 2.0 specification, chapter 9, and CDC PSTN 1.2.
 *
 * The 4 KiB that the controller shares with the processor hold a queue of packets in either direction, so none of this
 * takes RAM and the interrupt copies nothing: an endpoint's buffer is moved to the next slot of its queue for each packet.
 * While a packet is on the line the next ones are filled or read; between two the controller only waits for the interrupt.
 * The controller's own double buffering would save that wait, some microseconds a packet, for a second set of toggles and
 * buffer selects to keep; two buffers would not let as much come in while the core computes.
 *
 * A slot that is not free is not made available: the controller answers NAK and the host tries again, so nothing is ever
 * lost, however slow either side is. The same holds while interrupts are masked (flash_fetch.c). */
#include "usb.h"

#include "board_config.h"
#include "fsvae.h"
#include "port.h"
#include "rp2040.h"

void USBCTRL_Handler(void);

#define PACKET 64u
#define NOTICE 1u /* endpoint of the notifications that CDC wants to exist; never sent */
#define DATA 2u   /* endpoint of the bytes, both ways */

/* Places in the shared memory, multiples of 64. */
#define NOTICE_AT 0x180u
#define TEXT_AT 0x1c0u /* a string descriptor while it is sent */
#define OUT_AT 0x400u
#define OUT_SLOTS 16u
#define IN_AT 0x800u
#define IN_SLOTS 32u

#define SHARED_BYTE(offset) (*(volatile uint8_t *)(uintptr_t)(USB_DPSRAM + (offset)))

/* From the host. Packets are counted; the slot is the count's remainder. */
static volatile uint32_t out_received;
static volatile uint32_t out_taken;
static uint32_t out_position; /* bytes read of the first one not taken */
static uint8_t out_length[OUT_SLOTS];
static int out_available;
static uint32_t out_toggle;

/* To the host. Slot in_queued is being filled with in_fill bytes. */
static volatile uint32_t in_queued;
static volatile uint32_t in_sent;
static uint32_t in_fill;
static uint8_t in_length[IN_SLOTS];
static volatile int in_available;
static uint32_t in_flight; /* bytes of the packet that is available */
static int in_ends_full;   /* the last packet was full: the host waits for more until a shorter one comes */
static uint32_t in_toggle;

static volatile int configured;
static volatile int suspended;
static volatile int hung_up; /* the host has closed the port */

static const char *serial_number;

/* Control transfers: what is left of the answer, and what is done once the host has acknowledged. */
static const volatile uint8_t *reply;
static uint32_t reply_left;
static uint32_t reply_toggle;
static int expects_line_coding;
static uint32_t address_due;
static int boot_loader_due;

#define TOUCH_RATE 1200u
static uint8_t line_coding[7]; /* rate (4), stop bits, parity, data bits */
static int terminal_ready;     /* DTR */

/* -- descriptors -- */

#define WORD(value) (uint8_t)((value) & 0xffu), (uint8_t)((value) >> 8)

enum {
    DEVICE = 1,
    CONFIGURATION = 2,
    STRING = 3,
    INTERFACE = 4,
    ENDPOINT = 5,
    ASSOCIATION = 11,
    CDC_INTERFACE = 0x24
};

enum {
    TEXT_LANGUAGES = 0,
    TEXT_MANUFACTURER = 1,
    TEXT_PRODUCT = 2,
    TEXT_SERIAL = 3
};

#define TEXT_MAX 30u /* characters: a longer descriptor is no less than 64 bytes */

#define DEVICE_BYTES 18u

static const uint8_t device[DEVICE_BYTES] = {
    DEVICE_BYTES, DEVICE,
    WORD(0x0200),                 /* USB 2.0 */
    0xef, 0x02, 0x01,             /* the interfaces say what they are, with associations */
    PACKET,                       /* of endpoint 0 */
    WORD(BOARD_USB_VENDOR_ID),
    WORD(BOARD_USB_PRODUCT_ID),
    WORD(0x0100),
    TEXT_MANUFACTURER, TEXT_PRODUCT, TEXT_SERIAL,
    1,                            /* configuration */
};

#define CONFIGURATION_BYTES 75u

static const uint8_t configuration[CONFIGURATION_BYTES] = {
    9, CONFIGURATION, WORD(CONFIGURATION_BYTES), 2, 1, 0, 0x80, 250, /* two interfaces; bus-powered, 500 mA */
    8, ASSOCIATION, 0, 2, 2, 2, 0, 0,                                /* interfaces 0 and 1 are one: CDC, ACM */
    9, INTERFACE, 0, 0, 1, 2, 2, 0, 0,
    5, CDC_INTERFACE, 0x00, WORD(0x0110),                            /* header: CDC 1.1 */
    5, CDC_INTERFACE, 0x01, 0, 1,                                    /* call management: none */
    4, CDC_INTERFACE, 0x02, 0x02,                                    /* ACM: line coding and line state */
    5, CDC_INTERFACE, 0x06, 0, 1,                                    /* union of interfaces 0 and 1 */
    7, ENDPOINT, 0x80 | NOTICE, 3, WORD(16), 255,                    /* interrupt */
    9, INTERFACE, 1, 0, 2, 10, 0, 0, 0,
    7, ENDPOINT, DATA, 2, WORD(PACKET), 0,                           /* bulk, out */
    7, ENDPOINT, 0x80 | DATA, 2, WORD(PACKET), 0,                    /* bulk, in */
};

/* -- buffers -- */

static uint32_t mask(void)
{
    uint32_t masked;
    __asm volatile("mrs %0, primask\n cpsid i" : "=r"(masked)::"memory");
    return masked;
}

static void unmask(uint32_t masked)
{
    __asm volatile("msr primask, %0" ::"r"(masked) : "memory");
}

/* The controller, on a slower clock, must see everything else before it sees that the buffer is its own (4.1.2.5.1):
 * three cycles at 48 MHz are eight at 125. */
__attribute__((noinline)) static void make_available(uint32_t n, uint32_t out, uint32_t value)
{
    REGISTER(USB_BUFFER_CONTROL(n, out)) = value;
    __asm volatile("nop\n nop\n nop\n nop\n nop\n nop\n nop\n nop\n nop\n nop\n nop\n nop" ::: "memory");
    REGISTER(USB_BUFFER_CONTROL(n, out)) = value | USB_BUFFER_AVAILABLE;
}

__attribute__((noinline)) static void receive_next(void)
{
    uint32_t slot = out_received % OUT_SLOTS;
    if (out_available || !configured || out_received - out_taken == OUT_SLOTS) {
        return;
    }
    out_available = 1;
    REGISTER(USB_ENDPOINT_CONTROL(DATA, 1u)) =
        USB_ENDPOINT_ENABLE | USB_INTERRUPT_PER_BUFFER | USB_BULK | (OUT_AT + slot * PACKET);
    make_available(DATA, 1, out_toggle | PACKET);
}

static void seal(void)
{
    in_length[in_queued % IN_SLOTS] = (uint8_t)in_fill;
    in_queued = in_queued + 1u;
    in_fill = 0;
}

__attribute__((noinline)) static void send_next(void)
{
    uint32_t slot = in_sent % IN_SLOTS;
    if (in_available || !configured) {
        return;
    }
    if (in_sent == in_queued && in_fill != 0u) {
        seal();
    }
    if (in_sent != in_queued) {
        in_flight = in_length[slot];
    } else if (in_ends_full) {
        in_flight = 0;
    } else {
        return;
    }
    in_ends_full = in_flight == PACKET;
    in_available = 1;
    REGISTER(USB_ENDPOINT_CONTROL(DATA, 0u)) =
        USB_ENDPOINT_ENABLE | USB_INTERRUPT_PER_BUFFER | USB_BULK | (IN_AT + slot * PACKET);
    make_available(DATA, 0, USB_BUFFER_FULL | in_toggle | in_flight);
}

static void packet_received(void)
{
    uint32_t length = REGISTER(USB_BUFFER_CONTROL(DATA, 1u)) & USB_BUFFER_LENGTH;
    out_available = 0;
    out_toggle ^= USB_BUFFER_DATA1;
    hung_up = 0;
    if (length != 0u) {
        out_length[out_received % OUT_SLOTS] = (uint8_t)length;
        out_received = out_received + 1u;
    }
    receive_next();
}

static void packet_sent(void)
{
    in_available = 0;
    in_toggle ^= USB_BUFFER_DATA1;
    if (in_flight != 0u) {
        in_sent = in_sent + 1u;
    }
    send_next();
}

/* What nobody will read any more. The packet that is available can not be taken back. */
static void discard_queued(void)
{
    in_queued = in_sent + (in_available && in_flight != 0u ? 1u : 0u);
    in_fill = 0;
}

/* Both data endpoints from their start, as a configuration begins or the bus is reset. */
__attribute__((noinline)) static void restart_data(int now_configured)
{
    REGISTER(USB_BUFFER_CONTROL(DATA, 0u)) = 0u;
    REGISTER(USB_BUFFER_CONTROL(DATA, 1u)) = 0u;
    configured = now_configured;
    hung_up = 0;
    out_taken = out_received;
    out_position = 0;
    out_available = 0;
    out_toggle = 0;
    in_sent = in_queued;
    in_fill = 0;
    in_available = 0;
    in_ends_full = 0;
    in_toggle = 0;
    REGISTER(USB_ENDPOINT_CONTROL(NOTICE, 0u)) = now_configured ? USB_ENDPOINT_ENABLE | USB_INTERRUPT | NOTICE_AT : 0u;
    receive_next();
}

/* The host starts an endpoint's toggle over; what it has not taken of it stays. */
static void restart_toggle(uint32_t endpoint)
{
    if (endpoint == DATA) {
        out_toggle = 0;
        out_available = 0;
        receive_next();
    } else if (endpoint == (0x80u | DATA)) {
        in_toggle = 0;
        if (in_available) {
            make_available(DATA, 0, USB_BUFFER_FULL | in_flight);
        }
    }
}

/* -- control transfers -- */

static void send_control(uint32_t length)
{
    make_available(0, 0, USB_BUFFER_FULL | reply_toggle | length);
    reply_toggle ^= USB_BUFFER_DATA1;
}

static void send_reply(void)
{
    uint32_t length = reply_left < PACKET ? reply_left : PACKET;
    uint32_t i;
    for (i = 0; i < length; i++) {
        SHARED_BYTE(USB_EP0_BUFFER - USB_DPSRAM + i) = reply[i];
    }
    reply += length;
    reply_left -= length;
    send_control(length);
}

__attribute__((noinline)) static void stall(void)
{
    REGISTER(USB_EP_STALL_ARM) = USB_STALL_EP0_BOTH;
    REGISTER(USB_BUFFER_CONTROL(0u, 0u)) = USB_BUFFER_STALL;
    REGISTER(USB_BUFFER_CONTROL(0u, 1u)) = USB_BUFFER_STALL;
}

static void acknowledge(void)
{
    send_control(0);
}

/* Data to the host, then its acknowledgement, which it may send as soon as it has enough. No answer is a multiple of 64
 * bytes, whose end an empty packet would have to mark. */
__attribute__((noinline)) static void answer(const volatile uint8_t *bytes, uint32_t count, uint32_t wanted)
{
    reply = bytes;
    reply_left = count < wanted ? count : wanted;
    make_available(0, 1, USB_BUFFER_DATA1 | PACKET);
    send_reply();
}

/* A string as the host wants it: its length in bytes, its kind, UTF-16. */
static void answer_text(const char *text, uint32_t wanted)
{
    uint32_t length = 0;
    while (text[length] != 0 && length < TEXT_MAX) {
        SHARED_BYTE(TEXT_AT + 2u + 2u * length) = (uint8_t)text[length];
        SHARED_BYTE(TEXT_AT + 3u + 2u * length) = 0;
        length++;
    }
    SHARED_BYTE(TEXT_AT) = (uint8_t)(2u + 2u * length);
    SHARED_BYTE(TEXT_AT + 1u) = STRING;
    answer(&SHARED_BYTE(TEXT_AT), 2u + 2u * length, wanted);
}

static void answer_string(uint32_t index, uint32_t wanted)
{
    static const uint8_t languages[4] = {4, STRING, WORD(0x0409)}; /* English */
    if (index == TEXT_LANGUAGES) {
        answer(languages, sizeof languages, wanted);
    } else if (index == TEXT_MANUFACTURER) {
        answer_text("fsvae-codegen", wanted);
    } else if (index == TEXT_PRODUCT) {
        answer_text("FSVAE " FSVAE_MODEL_NAME, wanted);
    } else if (index == TEXT_SERIAL && serial_number[0] != 0) {
        answer_text(serial_number, wanted);
    } else {
        stall();
    }
}

static void answer_descriptor(uint32_t kind, uint32_t index, uint32_t wanted)
{
    if (kind == DEVICE) {
        answer(device, DEVICE_BYTES, wanted);
    } else if (kind == CONFIGURATION && index == 0u) {
        answer(configuration, CONFIGURATION_BYTES, wanted);
    } else if (kind == STRING) {
        answer_string(index, wanted);
    } else {
        stall();
    }
}

/* Closing the port at 1200 baud asks for the boot loader, as Arduino's boards have it. */
static void look_for_touch(void)
{
    uint32_t rate = line_coding[0] | (uint32_t)line_coding[1] << 8 | (uint32_t)line_coding[2] << 16 |
                    (uint32_t)line_coding[3] << 24;
    boot_loader_due = rate == TOUCH_RATE && !terminal_ready;
}

#define REQUEST(type, request) ((type) | (uint32_t)(request) << 8)

static void serve_setup(void)
{
    static const uint8_t zeros[2] = {0, 0};
    static uint8_t value_now;
    const uint32_t low = REGISTER(USB_SETUP_PACKET);
    const uint32_t high = REGISTER(USB_SETUP_PACKET + 4u);
    const uint32_t value = low >> 16;
    const uint32_t index = high & 0xffffu;
    const uint32_t wanted = high >> 16;

    /* Whatever was left of the last transfer is void. */
    REGISTER(USB_BUFFER_CONTROL(0u, 0u)) = 0u;
    REGISTER(USB_BUFFER_CONTROL(0u, 1u)) = 0u;
    reply_left = 0;
    reply_toggle = USB_BUFFER_DATA1;
    expects_line_coding = 0;
    address_due = 0;
    boot_loader_due = 0;

    switch (low & 0xffffu) {
    case REQUEST(0x80u, 0u): /* status of the device, an interface, an endpoint */
    case REQUEST(0x81u, 0u):
    case REQUEST(0x82u, 0u):
        answer(zeros, 2, wanted);
        break;
    case REQUEST(0x02u, 1u): /* an endpoint goes on: none ever halts, but its toggle starts over */
        restart_toggle(index);
        acknowledge();
        break;
    case REQUEST(0x00u, 5u):
        address_due = value & 0x7fu;
        acknowledge();
        break;
    case REQUEST(0x80u, 6u):
        answer_descriptor(value >> 8, value & 0xffu, wanted);
        break;
    case REQUEST(0x80u, 8u): /* configuration, alternate setting */
        value_now = (uint8_t)configured;
        answer(&value_now, 1, wanted);
        break;
    case REQUEST(0x81u, 10u):
        answer(zeros, 1, wanted);
        break;
    case REQUEST(0x00u, 9u):
        if (value > 1u) {
            stall();
            break;
        }
        restart_data((int)value);
        acknowledge();
        break;
    case REQUEST(0x01u, 11u):
        if (value != 0u) {
            stall();
            break;
        }
        if (index == 1u) {
            restart_toggle(DATA);
            restart_toggle(0x80u | DATA);
        }
        acknowledge();
        break;
    case REQUEST(0x21u, 0x20u): /* CDC: set line coding */
        expects_line_coding = 1;
        make_available(0, 1, USB_BUFFER_DATA1 | PACKET);
        break;
    case REQUEST(0xa1u, 0x21u):
        answer(line_coding, sizeof line_coding, wanted);
        break;
    case REQUEST(0x21u, 0x22u): /* CDC: set control line state */
        terminal_ready = (value & 1u) != 0u;
        hung_up = !terminal_ready;
        if (hung_up) {
            discard_queued();
        }
        look_for_touch();
        acknowledge();
        break;
    default:
        stall();
    }
}

static void control_received(void)
{
    uint32_t length = REGISTER(USB_BUFFER_CONTROL(0u, 1u)) & USB_BUFFER_LENGTH;
    uint32_t i;
    if (!expects_line_coding) {
        return; /* the host acknowledges an answer */
    }
    expects_line_coding = 0;
    for (i = 0; i < length && i < sizeof line_coding; i++) {
        line_coding[i] = SHARED_BYTE(USB_EP0_BUFFER - USB_DPSRAM + i);
    }
    look_for_touch();
    acknowledge();
}

static void control_sent(void)
{
    if (reply_left != 0u) {
        send_reply();
    } else if (address_due != 0u) {
        REGISTER(USB_ADDR_ENDP) = address_due;
        address_due = 0;
    } else if (boot_loader_due) {
        boot_loader_due = 0;
        port_reset(1);
    }
}

static void reset_by_bus(void)
{
    REGISTER(USB_ADDR_ENDP) = 0u;
    REGISTER(USB_BUFF_STATUS) = 0xffffffffu;
    address_due = 0;
    boot_loader_due = 0;
    reply_left = 0;
    expects_line_coding = 0;
    terminal_ready = 0;
    suspended = 0;
    restart_data(0);
}

/* What ended first is served first: packets before the request that came after them. */
static void service(void)
{
    uint32_t pending = REGISTER(USB_INTS);
    if ((pending & USB_ON_BUS_RESET) != 0u) {
        REGISTER(USB_SIE_STATUS) = USB_SIE_BUS_RESET;
        reset_by_bus();
    }
    if ((pending & USB_ON_SUSPEND) != 0u) {
        REGISTER(USB_SIE_STATUS) = USB_SIE_SUSPENDED;
        suspended = 1;
    }
    if ((pending & USB_ON_RESUME) != 0u) {
        REGISTER(USB_SIE_STATUS) = USB_SIE_RESUME;
        suspended = 0;
    }
    if ((pending & USB_ON_BUFFER) != 0u) {
        uint32_t done = REGISTER(USB_BUFF_STATUS);
        REGISTER(USB_BUFF_STATUS) = done;
        suspended = 0;
        if ((done & (1u << 1)) != 0u) {
            control_received();
        }
        if ((done & (1u << 0)) != 0u) {
            control_sent();
        }
        if ((done & (2u << (2u * DATA))) != 0u) {
            packet_received();
        }
        if ((done & (1u << (2u * DATA))) != 0u) {
            packet_sent();
        }
    }
    if ((pending & USB_ON_SETUP) != 0u) {
        REGISTER(USB_SIE_STATUS) = USB_SIE_SETUP_RECEIVED;
        suspended = 0;
        serve_setup();
    }
}

void USBCTRL_Handler(void)
{
    service();
}

/* -- the link -- */

void usb_start(const char *serial)
{
    uint32_t offset;
    serial_number = serial;
    line_coding[1] = 0xc2; /* 115,200 baud, 8 data bits */
    line_coding[2] = 0x01;
    line_coding[6] = 8;
    REGISTER(RESETS_RESET) |= RESET_USBCTRL;
    REGISTER(RESETS_RESET + ATOMIC_CLEAR) = RESET_USBCTRL;
    while ((REGISTER(RESETS_RESET_DONE) & RESET_USBCTRL) == 0u) {
    }
    for (offset = 0; offset < USB_EP0_BUFFER - USB_DPSRAM; offset += 4u) {
        REGISTER(USB_DPSRAM + offset) = 0u;
    }
    REGISTER(USB_MUXING) = USB_TO_PHY;
    REGISTER(USB_PWR) = USB_VBUS_TAKEN_AS_THERE;
    REGISTER(USB_MAIN_CTRL) = USB_CONTROLLER_ENABLE;
    REGISTER(USB_INTE) = USB_ON_SETUP | USB_ON_RESUME | USB_ON_SUSPEND | USB_ON_BUS_RESET | USB_ON_BUFFER;
    REGISTER(NVIC_ISER(USBCTRL_IRQ)) = 1u << (USBCTRL_IRQ % 32u);
    REGISTER(USB_SIE_CTRL) = USB_EP0_INTERRUPT_PER_BUFFER | USB_PULL_UP;
}

int usb_waits(void)
{
    return out_received != out_taken;
}

int usb_read(void)
{
    uint32_t masked = mask();
    int byte = -1;
    if (out_received != out_taken) {
        uint32_t slot = out_taken % OUT_SLOTS;
        byte = SHARED_BYTE(OUT_AT + slot * PACKET + out_position);
        out_position++;
        if (out_position == out_length[slot]) {
            out_position = 0;
            out_taken = out_taken + 1u;
            receive_next();
        }
    }
    unmask(masked);
    return byte;
}

static int host_listens(void)
{
    return configured && !suspended && !hung_up;
}

/* Gives the host its turn. In an exception, as when a fault is reported, nobody serves interrupts, so it is done here, and
 * not for ever. Returns 0 when there is nothing left to wait for. */
static int wait_for_host(uint64_t since, int limited)
{
    uint32_t exception;
    __asm volatile("mrs %0, ipsr" : "=r"(exception));
    if (exception != 0u) {
        service();
        limited = 1;
    }
    return host_listens() && (!limited || ticks() - since < BOARD_CLOCK_HZ / 10u);
}

void usb_write(const uint8_t *bytes, size_t count)
{
    uint64_t since = ticks();
    while (count != 0u) {
        uint32_t masked = mask();
        if (host_listens() && in_queued - in_sent < IN_SLOTS) {
            uint32_t to = IN_AT + in_queued % IN_SLOTS * PACKET;
            while (count != 0u && in_fill < PACKET) {
                SHARED_BYTE(to + in_fill) = *bytes++;
                in_fill++;
                count--;
            }
            if (in_fill == PACKET) {
                seal();
            }
            send_next();
        }
        unmask(masked);
        if (count != 0u && in_queued - in_sent == IN_SLOTS) {
            if (!wait_for_host(since, 0)) {
                return;
            }
        } else if (!host_listens()) {
            return;
        }
    }
}

void usb_finish_sending(void)
{
    uint64_t since = ticks();
    while ((in_queued != in_sent || in_fill != 0u) && wait_for_host(since, 1)) {
    }
}
